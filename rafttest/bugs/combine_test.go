package bugs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/rafttest/bugs"
)

// small is a module with functions of every kind.
var small = map[string]string{
	"go.mod": "module small\n\ngo 1.26.0\n",
	"main.go": `package main

import (
	"fmt"

	"small/list"
)

type counter struct{ n int }

func (c *counter) add(n int) { c.n += n }

func (counter) unit(_ int, unit string) string {
	return "a " + unit
}

func (_ counter) names(_ string, names ...string) (all string, count int) {
	all = fmt.Sprint(names)
	return all, len(names)
}

func sum(numbers ...int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

func unnamed(int, string) (_ error) {
	return nil
}

func down(n int) string {
	if n == 0 {
		return "."
	}
	return down(n-1) + "a"
}

var initial = sum(1, 1)

func main() {
	c := counter{}
	c.add(2)
	add := c.add
	add(sum(3, 4))
	all, count := c.names("", "x", "y")
	var numbers list.Of[int, string]
	numbers.Push(5, "five")
	fmt.Println(c.n, c.unit(1, "unit"), all, count, unnamed(1, ""), down(2), initial, list.First[int, bool](7, 8), numbers)
}
`,
	"list/list.go": `// Package list is another package.
package list

type Of[K comparable, V any] struct {
	Keys []K
	Last V
}

func (l *Of[K, _]) Push(k K, _ ...any) {
	l.Keys = append(l.Keys, k)
}

func First[T, _ any](first, _ T) T {
	return first
}

func half(n int) int { return n / 2 }
`,
}

// smallModule writes the module and returns its directory.
func smallModule(t *testing.T) string {
	root := t.TempDir()
	for name, content := range small {
		file := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
	}
	return root
}

// smallBug makes a bug of triples: file, text, and what is there instead.
func smallBug(number int, edits ...string) bugs.Bug {
	b := bugs.Bug{Number: number, Name: fmt.Sprintf("%02d-x", number)}
	for ; len(edits) > 0; edits = edits[3:] {
		b.Edits = append(b.Edits, bugs.Edit{File: edits[0], Old: edits[1] + "\n", New: edits[2] + "\n"})
	}
	return b
}

// A program with all bugs does for each number what the program with that bug alone
// would do, and without a number what the program without bugs does.
func TestCombinedProgram(t *testing.T) {
	const clean = "9 a unit [x y] 2 <nil> .aa 2 7 {[5] }"
	cases := []struct {
		kind  string
		edits []string
		shows string
	}{
		{"a method without results", []string{"main.go", "func (c *counter) add(n int) { c.n += n }",
			"func (c *counter) add(n int) { c.n -= n }"}, "-9 a unit [x y] 2 <nil> .aa 2 7 {[5] }"},
		{"another bug in the same function", []string{"main.go", "func (c *counter) add(n int) { c.n += n }",
			"func (c *counter) add(n int) { c.n = n }"}, "7 a unit [x y] 2 <nil> .aa 2 7 {[5] }"},
		{"a receiver and a parameter without a name", []string{"main.go", "\treturn \"a \" + unit",
			"\treturn \"the \" + unit"}, "9 the unit [x y] 2 <nil> .aa 2 7 {[5] }"},
		{"a blank receiver, variadic, named results", []string{"main.go", "\tall = fmt.Sprint(names)",
			"\tall = fmt.Sprint(names[:1])"}, "9 a unit [x] 2 <nil> .aa 2 7 {[5] }"},
		{"variadic, before main", []string{"main.go", "\treturn total", "\treturn -total"},
			"-5 a unit [x y] 2 <nil> .aa -2 7 {[5] }"},
		{"an added import", []string{"main.go", "import (", "import (\n\t\"errors\"", "main.go", "\treturn nil",
			"\treturn errors.New(\"wrong\")"}, "9 a unit [x y] 2 wrong .aa 2 7 {[5] }"},
		{"the same import for another bug", []string{"main.go", "import (", "import (\n\t\"errors\"", "main.go", "\treturn nil",
			"\treturn errors.New(\"false\")"}, "9 a unit [x y] 2 false .aa 2 7 {[5] }"},
		{"recursion", []string{"main.go", "\treturn down(n-1) + \"a\"", "\treturn down(n-1) + \"b\""},
			"9 a unit [x y] 2 <nil> .bb 2 7 {[5] }"},
		{"an added function", []string{"main.go", "var initial = sum(1, 1)", "func double(n int) int { return 2 * n }\n\nvar initial = sum(1, 1)",
			"main.go", "\tc.add(2)", "\tc.add(double(2))"}, "11 a unit [x y] 2 <nil> .aa 2 7 {[5] }"},
		{"generic, in two packages", []string{"list/list.go", "\treturn first", "\tvar none T\n\treturn none",
			"main.go", "\tadd(sum(3, 4))", "\tadd(sum(3, 5))"}, "10 a unit [x y] 2 <nil> .aa 2 0 {[5] }"},
		{"a generic receiver", []string{"list/list.go", "\tl.Keys = append(l.Keys, k)", "\tl.Keys = append(l.Keys, k, k)"},
			"9 a unit [x y] 2 <nil> .aa 2 7 {[5 5] }"},
	}
	root := smallModule(t)
	var all []bugs.Bug
	for i, test := range cases {
		all = append(all, smallBug(i+1, test.edits...))
	}
	combined, err := bugs.Combine(os.DirFS(root), all)
	require.NoError(t, err)
	require.Empty(t, combined.Apart)
	require.Len(t, combined.Numbers, len(cases))
	overlay, err := combined.Overlay(t.TempDir(), root)
	require.NoError(t, err)

	program := filepath.Join(t.TempDir(), "small")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", program, ".")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	run := func(number string) (string, error) {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), bugs.ActiveVariable+"="+number)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, none := range []string{"", "0"} {
		shows, err := run(none)
		require.NoError(t, err)
		require.Equal(t, clean, shows)
	}
	for i, test := range cases {
		shows, err := run(fmt.Sprint(i + 1))
		require.NoError(t, err, test.kind)
		require.Equal(t, test.shows, shows, test.kind)
	}
	for _, bad := range []string{"12", "-1", "one"} {
		out, err := run(bad)
		require.Error(t, err, "%s: %s", bad, out)
	}
}

// What cannot be switched within a function is built apart, with the reason, and
// leaves nothing in the program of the others.
func TestCombineLeavesApart(t *testing.T) {
	module := fstest.MapFS{}
	for name, content := range small {
		module[name] = &fstest.MapFile{Data: []byte(content)}
	}
	const recovering = "func half(n int) int { return n / 2 }"
	for _, test := range []struct {
		why   string
		edits []string
	}{
		{"main.go: changes type counter", []string{"main.go", "type counter struct{ n int }", "type counter struct{ n, m int }"}},
		{"main.go: changes var initial", []string{"main.go", "var initial = sum(1, 1)", "var initial = sum(1, 2)"}},
		{"list/list.go: adds const x", []string{"list/list.go", "package list", "package list\n\nconst x = 1"}},
		{"main.go: takes away var initial", []string{"main.go", "var initial = sum(1, 1)\n", ""}},
		{"main.go: changes the order of declarations", []string{"main.go", "type counter struct{ n int }\n", "",
			"main.go", "var initial = sum(1, 1)", "var initial = sum(1, 1)\n\ntype counter struct{ n int }"}},
		{"main.go: adds func init", []string{"main.go", "var initial = sum(1, 1)", "var initial = sum(1, 1)\n\nfunc init() {}"}},
		{"list/list.go: takes away func half", []string{"list/list.go", recovering, ""}},
		{"list/list.go: changes the signature of func half", []string{"list/list.go", recovering, "func half(n int) float64 { return float64(n) / 2 }"}},
		{"list/list.go: adds a method, Of.String", []string{"list/list.go", recovering, recovering + "\n\nfunc (*Of[K, V]) String() string { return \"\" }"}},
		{"list/list.go: adds func max, which hides", []string{"list/list.go", recovering, recovering + "\n\nfunc max() {}"}},
		{"main.go: adds func double, as bug 1 does", []string{"main.go", "var initial = sum(1, 1)", "var initial = sum(1, 1)\n\nfunc double() {}"}},
		{"list/list.go: changes func half, which calls recover", []string{"list/list.go", recovering, "func half(n int) int { return recover().(int) }"}},
		{"main.go: imports _ \"embed\"", []string{"main.go", "import (", "import (\n\t_ \"embed\""}},
		{"main.go: imports \"text/template\", where \"html/template\" has the name template", []string{"main.go", "import (", "import (\n\t\"text/template\""}},
		{"main.go: changes the package's name", []string{"main.go", "package main", "package other"}},
		{"the code has moved", []string{"main.go", "no such line", ""}},
		{"list/list.go:17:1: expected declaration", []string{"list/list.go", recovering, "}"}},
	} {
		first := smallBug(1, "main.go", "import (", "import (\n\t\"html/template\"",
			"main.go", "var initial = sum(1, 1)", "func double(n int) any { return template.HTML(\"\") }\n\nvar initial = sum(1, 1)")
		alone, err := bugs.Combine(module, []bugs.Bug{first})
		require.NoError(t, err)
		require.Empty(t, alone.Apart)
		both, err := bugs.Combine(module, []bugs.Bug{first, smallBug(2, test.edits...)})
		require.NoError(t, err)
		require.ErrorContains(t, both.Apart[2], test.why)
		require.Equal(t, []int{1}, both.Numbers)
		require.Equal(t, alone.Files, both.Files, test.why)
	}
}

// A file that has the name of the switch is not guessed at.
func TestCombineNeedsItsName(t *testing.T) {
	module := fstest.MapFS{"a.go": {Data: []byte("package a\n\nfunc f() int {\n\tactiveBug := 1\n\treturn activeBug\n}\n")}}
	_, err := bugs.Combine(module, []bugs.Bug{smallBug(1, "a.go", "\treturn activeBug", "\treturn 2")})
	require.ErrorContains(t, err, "uses the name activeBug itself")
}

// Where nothing can be combined there is nothing to build.
func TestCombineNothing(t *testing.T) {
	none, err := bugs.Combine(fstest.MapFS{}, nil)
	require.NoError(t, err)
	require.Empty(t, none.Files)
	require.Empty(t, none.Numbers)
}

// Nearly all bugs are in one program: a bug that changes more than functions costs a
// build at every check, so it is worth a thought whether it has to.
func TestMostBugsCombine(t *testing.T) {
	combined, err := bugs.Combine(os.DirFS(moduleRoot), allBugs(t))
	require.NoError(t, err)
	require.LessOrEqual(t, len(combined.Apart), 5, "%v", combined.Apart)
	require.NoError(t, newCompiler(t).check(combined.Files))
}
