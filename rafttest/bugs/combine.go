package bugs

import (
	"fmt"
	"go/ast"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// ActiveVariable is the environment variable with the number of the bug that is
// active in a program built with the overlay of a Combination. Without it, or with 0,
// none is; a number that the program does not have is a panic.
const ActiveVariable = "RAFT_BUG"

// Combination has many bugs in one build, of which at most one is active in a
// process: a build takes longer than most bugs take to show. A function that a bug
// changes is there twice, and the original begins by calling the other one while that
// bug is active:
//
//	func (l *log) acknowledge(w write) { switch activeBug { case 19: l.bug19_acknowledge(w); return; };
//
// So bugs can be combined that change functions' bodies, or add functions and imports;
// those that change other declarations cannot.
type Combination struct {
	// Numbers are those of the bugs that are in it, in order.
	Numbers []int
	// Apart are the others, which need a build each, and why.
	Apart map[int]error
	// Files are the changed files of the module, and new ones, by name.
	Files []File
}

// Combine makes one build of as many of the bugs as it can. module holds the module's
// sources. A bug that does not apply to them is one of those apart.
func Combine(module fs.FS, all []Bug) (Combination, error) {
	c := combiner{module: module, files: map[string]*combinedFile{}, added: map[string]int{}}
	result := Combination{Apart: map[int]error{}}
	for _, b := range all {
		if why := c.add(b); why != nil {
			result.Apart[b.Number] = why
		} else {
			result.Numbers = append(result.Numbers, b.Number)
		}
	}
	slices.Sort(result.Numbers)
	packages := map[string]string{} // by directory
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		f := c.files[name]
		if len(f.changes) == 0 {
			continue
		}
		// A file that has the word would have what is not meant for it.
		if strings.Contains(f.original.text, activeBug) {
			return Combination{}, fmt.Errorf("bugs: %s uses the name %s itself", name, activeBug)
		}
		packages[path.Dir(name)] = f.original.file.Name.Name
		result.Files = append(result.Files, File{Name: name, Content: []byte(f.combined())})
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		name := path.Join(dir, activeBugFile)
		result.Files = append(result.Files, File{name, []byte(activeBugSource(packages[dir], result.Numbers))})
	}
	slices.SortFunc(result.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return result, nil
}

// Overlay writes the files below dir, as Overlay does for one bug.
func (c Combination) Overlay(dir, moduleRoot string) (overlayJSON string, err error) {
	if overlayJSON, err = writeOverlay(dir, c.Files, moduleRoot); err != nil {
		return "", fmt.Errorf("bugs: %w", err)
	}
	return overlayJSON, nil
}

// combiner collects what bugs change.
type combiner struct {
	module fs.FS
	files  map[string]*combinedFile
	added  map[string]int // functions, with their directories, and who added them
}

// combinedFile is a file with what bugs change in it, each by its number.
type combinedFile struct {
	original *source
	changes  []numbered
}

type numbered struct {
	bug int
	change
}

// add takes a bug in, or says why it cannot be combined with those before.
func (c *combiner) add(b Bug) error {
	patched, err := b.Apply(c.module)
	if err != nil {
		return err
	}
	changes := map[*combinedFile]change{}
	for _, f := range patched {
		of, err := c.file(f.Name)
		if err != nil {
			return err
		}
		source, err := parseSource(f.Name, string(f.Content))
		if err != nil {
			return err
		}
		what, err := compare(of.original, source)
		if err == nil {
			err = of.clash(what)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		for _, name := range what.added {
			if other, taken := c.added[path.Join(path.Dir(f.Name), name)]; taken {
				return fmt.Errorf("%s: adds func %s, as bug %d does", f.Name, name, other)
			}
		}
		changes[of] = what
	}
	for of, what := range changes {
		of.changes = append(of.changes, numbered{b.Number, what})
	}
	for _, f := range patched {
		for _, name := range changes[c.files[f.Name]].added {
			c.added[path.Join(path.Dir(f.Name), name)] = b.Number
		}
	}
	return nil
}

func (c *combiner) file(name string) (*combinedFile, error) {
	if c.files[name] == nil {
		text, err := fs.ReadFile(c.module, name)
		if err != nil {
			return nil, err
		}
		original, err := parseSource(name, string(text))
		if err != nil {
			return nil, err
		}
		c.files[name] = &combinedFile{original: original}
	}
	return c.files[name], nil
}

// clash says which import of a change has the name of another one.
func (f *combinedFile) clash(what change) error {
	specs := slices.Clone(f.original.imports)
	for _, other := range f.changes {
		specs = append(specs, other.imports...)
	}
	for _, spec := range what.imports {
		for _, other := range specs {
			if importName(spec) == importName(other) && spec.Path.Value != other.Path.Value {
				return fmt.Errorf("imports %s, where %s has the name %s", spec.Path.Value, other.Path.Value, importName(spec))
			}
		}
	}
	return nil
}

// combined returns the file with all that bugs change.
func (f *combinedFile) combined() string {
	s := f.original
	byFunc := map[string][]int{}
	imports := map[string]bool{}
	var after strings.Builder
	for _, c := range f.changes {
		for _, spec := range c.imports {
			imports[c.patched.of(spec)] = true
		}
		for _, name := range c.changed {
			byFunc[name] = append(byFunc[name], c.bug)
			fmt.Fprintf(&after, "\n%s\n", c.patched.copyAs(c.patched.funcs[name], c.bug))
		}
		for _, name := range c.added {
			fmt.Fprintf(&after, "\n%s\n", c.patched.of(c.patched.funcs[name]))
		}
	}
	splices := []splice{importsAfter(s, s.file.Name, imports)}
	for name, numbers := range byFunc {
		splices = append(splices, s.dispatch(s.funcs[name], numbers)...)
	}
	return spliced(s.text, splices) + after.String()
}

func importsAfter(s *source, name *ast.Ident, imports map[string]bool) splice {
	text := ""
	for _, spec := range slices.Sorted(maps.Keys(imports)) {
		text += "; import " + spec
	}
	return splice{s.at(name.End()), s.at(name.End()), text}
}
