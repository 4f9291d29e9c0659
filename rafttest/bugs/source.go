package bugs

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path"
	"slices"
	"strconv"
)

// source is a file of the module, parsed.
type source struct {
	text    string
	file    *ast.File
	base    token.Pos                // of the text's first byte
	funcs   map[string]*ast.FuncDecl // by name; methods as "T.name"
	rest    []ast.Node               // the other declarations but imports, and functions that nobody can call
	imports []*ast.ImportSpec
}

func parseSource(name, text string) (*source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	s := &source{text: text, file: file, base: file.FileStart, funcs: map[string]*ast.FuncDecl{}, imports: file.Imports}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" || d.Name.Name == "_" || d.Body == nil {
				s.rest = append(s.rest, d)
			} else {
				s.funcs[funcName(d)] = d
			}
		case *ast.GenDecl:
			if d.Tok != token.IMPORT {
				s.rest = append(s.rest, d)
			}
		}
	}
	return s, nil
}

// funcName returns the name of a function, with the type of a method's receiver.
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch of := t.(type) {
		case *ast.StarExpr:
			t = of.X
		case *ast.ParenExpr:
			t = of.X
		case *ast.IndexExpr:
			t = of.X
		case *ast.IndexListExpr:
			t = of.X
		case *ast.Ident:
			return of.Name + "." + f.Name.Name
		default:
			return "?." + f.Name.Name // The compiler refuses it.
		}
	}
}

func (s *source) at(p token.Pos) int { return int(p - s.base) }

func (s *source) between(from, to token.Pos) string { return s.text[s.at(from):s.at(to)] }

// of returns the text of a declaration, without the comment before it.
func (s *source) of(n ast.Node) string {
	from := n.Pos()
	if f, ok := n.(*ast.FuncDecl); ok {
		from = f.Type.Func
	}
	return s.between(from, n.End())
}

// signature returns what stands before a function's body.
func (s *source) signature(f *ast.FuncDecl) string { return s.between(f.Type.Func, f.Body.Lbrace) }

// change is what a bug changes in one file, as far as Combine can do it.
type change struct {
	patched *source
	changed []string // names of functions, in order
	added   []string
	imports []*ast.ImportSpec // added
}

// compare returns what differs between a file and the file with a bug. The error
// says what it is that Combine cannot do.
func compare(original, patched *source) (change, error) {
	c := change{patched: patched}
	if err := compareRest(original, patched); err != nil {
		return c, err
	}
	for _, name := range slices.Sorted(maps.Keys(original.funcs)) {
		if patched.funcs[name] == nil {
			return c, fmt.Errorf("takes away func %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(patched.funcs)) {
		f, was := patched.funcs[name], original.funcs[name]
		switch {
		case was == nil && f.Recv != nil:
			return c, fmt.Errorf("adds a method, %s: its type may then implement an interface", name)
		case was == nil && types.Universe.Lookup(name) != nil:
			return c, fmt.Errorf("adds func %s, which hides the predeclared one", name)
		case was == nil:
			c.added = append(c.added, name)
		case original.of(was) == patched.of(f):
		case original.signature(was) != patched.signature(f):
			return c, fmt.Errorf("changes the signature of func %s", name)
		case recovers(f) || recovers(was):
			return c, fmt.Errorf("changes func %s, which calls recover: that works in the deferred function alone", name)
		default:
			c.changed = append(c.changed, name)
		}
	}
	for _, spec := range patched.imports {
		has := func(other *ast.ImportSpec) bool { return original.of(other) == patched.of(spec) }
		if slices.ContainsFunc(original.imports, has) {
			continue
		}
		if name := importName(spec); name == "_" || name == "." {
			return c, fmt.Errorf("imports %s", patched.of(spec))
		}
		c.imports = append(c.imports, spec)
	}
	return c, nil
}

func compareRest(original, patched *source) error {
	if original.file.Name.Name != patched.file.Name.Name {
		return errors.New("changes the package's name")
	}
	before, after := original.describeRest(), patched.describeRest()
	for _, d := range after {
		switch {
		case slices.Contains(before, d):
		case slices.ContainsFunc(before, func(other described) bool { return other.name == d.name }):
			return fmt.Errorf("changes %s", d.name)
		default:
			return fmt.Errorf("adds %s", d.name)
		}
	}
	for _, d := range before {
		if !slices.Contains(after, d) {
			return fmt.Errorf("takes away %s", d.name)
		}
	}
	if !slices.Equal(before, after) {
		return errors.New("changes the order of declarations, which is that of initialization")
	}
	return nil
}

type described struct{ name, text string }

func (s *source) describeRest() []described {
	var all []described
	for _, n := range s.rest {
		all = append(all, described{describe(n), s.of(n)})
	}
	return all
}

// describe names a declaration other than a function that can be called.
func describe(n ast.Node) string {
	d, ok := n.(*ast.GenDecl)
	if !ok {
		return "func " + funcName(n.(*ast.FuncDecl))
	}
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			return "type " + spec.Name.Name
		case *ast.ValueSpec:
			return d.Tok.String() + " " + spec.Names[0].Name
		}
	}
	return "an empty " + d.Tok.String()
}

// recovers reports whether recover is called in the function or one within it.
func recovers(f *ast.FuncDecl) bool {
	found := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == "recover" {
			found = true
		}
		return !found
	})
	return found
}

// importName returns the name under which a file has an imported package, if the
// package has that of its directory.
func importName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value // The parser refuses it.
	}
	return path.Base(name)
}
