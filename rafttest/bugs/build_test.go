package bugs_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

const rootPackage = "github.com/quorate-raft/raft"

// A bug that does not compile catches nothing. Type checking finds what the compiler
// finds, in a tenth of the time; RAFT_BUGS=build builds each one, as the simulator
// does.
func TestEveryBugCompiles(t *testing.T) {
	compiler := newCompiler(t)
	for _, b := range allBugs(t) {
		t.Run(b.Name, func(t *testing.T) {
			patched, err := b.Apply(os.DirFS(moduleRoot))
			require.NoError(t, err)
			require.NoError(t, compiler.check(patched))
		})
	}
	// It would not pass anything.
	const window = "progress/window.go"
	source, err := os.ReadFile(moduleRoot + "/" + window)
	require.NoError(t, err)
	for _, bad := range []string{
		"\nvar _ = undefinedHere\n", "\nfunc f() { unused := 1 }\n", "\nfunc (Progress) Plan() {}\n",
	} {
		require.Error(t, compiler.check([]bugs.File{{Name: window, Content: append(bytes.Clone(source), bad...)}}))
	}
	require.ErrorContains(t, compiler.check([]bugs.File{{
		Name: window, Content: bytes.ReplaceAll(source, []byte("NewWindow"), []byte("MakeWindow")),
	}}), "NewWindow", "who imports a changed package sees the change")
}

// compiler type-checks the packages that bugs change, and those that import them,
// from source. Everything else comes from the compiler's export data.
type compiler struct {
	files *token.FileSet
	rest  types.Importer
}

func newCompiler(t *testing.T) *compiler {
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", ".")
	cmd.Dir = moduleRoot
	out, err := cmd.Output()
	require.NoError(t, err)
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[name] = file
	}
	c := &compiler{files: token.NewFileSet()}
	c.rest = importer.ForCompiler(c.files, "gc", func(name string) (io.ReadCloser, error) { return os.Open(exports[name]) })
	return c
}

// check compiles the module's root package, and the packages that it imports as far
// as they are changed, with the changed files.
func (c *compiler) check(changed []bugs.File) error {
	content, dirs := map[string][]byte{}, map[string]bool{}
	for _, f := range changed {
		content[f.Name] = f.Content
		dirs[path.Dir(f.Name)] = true
	}
	fromSource := map[string]*types.Package{}
	for _, dir := range []string{"quorum", "raftpb", "progress", "confchange", "."} {
		if !dirs[dir] && dir != "." {
			continue
		}
		delete(dirs, dir)
		name := path.Join(rootPackage, dir)
		pkg, err := c.checkPackage(name, dir, content, fromSource)
		if err != nil {
			return err
		}
		fromSource[name] = pkg
	}
	if len(dirs) > 0 {
		return errors.New("a file of a package that is not checked here")
	}
	return nil
}

// checkPackage compiles one package with the changed content of its files.
func (c *compiler) checkPackage(
	name, dir string, content map[string][]byte, fromSource map[string]*types.Package,
) (*types.Package, error) {
	entries, err := fs.Glob(os.DirFS(filepath.Join(moduleRoot, dir)), "*.go")
	if err != nil {
		return nil, err
	}
	for added := range content {
		if base := path.Base(added); path.Dir(added) == dir && !slices.Contains(entries, base) {
			entries = append(entries, base)
		}
	}
	var parsed []*ast.File
	for _, entry := range entries {
		if strings.HasSuffix(entry, "_test.go") {
			continue
		}
		file := path.Join(dir, entry)
		var source any
		if changed := content[file]; changed != nil {
			source = changed
		}
		tree, err := parser.ParseFile(c.files, filepath.Join(moduleRoot, file), source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, tree)
	}
	conf := types.Config{Importer: importing(func(imported string) (*types.Package, error) {
		if pkg := fromSource[imported]; pkg != nil {
			return pkg, nil
		}
		return c.rest.Import(imported)
	})}
	return conf.Check(name, c.files, parsed, nil)
}

type importing func(name string) (*types.Package, error)

func (f importing) Import(name string) (*types.Package, error) { return f(name) }

// goBuild builds the packages that bugs change, with an overlay.
func goBuild(t *testing.T, overlay string) (string, error) {
	cmd := exec.Command("go", "build", "-overlay", overlay, ".", "./progress", "./confchange")
	cmd.Dir = moduleRoot
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// As above, with the compiler itself; the build cache is shared with the simulator's
// builds.
func TestEveryBugBuilds(t *testing.T) {
	if os.Getenv("RAFT_BUGS") != "build" {
		t.Skip("RAFT_BUGS=build builds every bug")
	}
	for _, b := range allBugs(t) {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			overlay, err := bugs.Overlay(t.TempDir(), b, moduleRoot)
			require.NoError(t, err)
			out, err := goBuild(t, overlay)
			require.NoError(t, err, out)
		})
	}
}

// The overlay is what gets built, not the file in the tree.
func TestOverlayReplaces(t *testing.T) {
	b := bugs.Bug{Name: "00-does-not-compile", Edits: []bugs.Edit{{
		File: "progress/window.go", Old: "package progress\n", New: "package progress\n\nvar _ = undefinedHere\n",
	}}}
	overlay, err := bugs.Overlay(t.TempDir(), b, moduleRoot)
	require.NoError(t, err)
	out, err := goBuild(t, overlay)
	require.Error(t, err)
	require.Contains(t, out, "undefinedHere")
	nothing, err := bugs.Overlay(t.TempDir(), bugs.Bug{Name: "00-nothing"}, moduleRoot)
	require.NoError(t, err)
	out, err = goBuild(t, nothing)
	require.NoError(t, err, out)
}
