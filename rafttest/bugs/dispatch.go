package bugs

import (
	"cmp"
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// splice replaces the bytes from at to end of a text.
type splice struct {
	at, end int
	text    string
}

func spliced(text string, splices []splice) string {
	slices.SortStableFunc(splices, func(a, b splice) int { return cmp.Compare(a.at, b.at) })
	var out strings.Builder
	end := 0
	for _, s := range splices {
		out.WriteString(text[end:s.at])
		out.WriteString(s.text)
		end = s.end
	}
	out.WriteString(text[end:])
	return out.String()
}

// variant is the name that a function has as a bug changes it.
func variant(bug int, f *ast.FuncDecl) string { return fmt.Sprintf("bug%d_%s", bug, f.Name.Name) }

// dispatch makes a function begin with a call of the variant of the bug that is
// active. All of it is on the line of the opening brace, so that lines keep their
// numbers.
func (s *source) dispatch(f *ast.FuncDecl, numbers []int) []splice {
	n := namer{source: s}
	receiver := ""
	if f.Recv != nil {
		receiver = n.names(f.Recv, "bugReceiver")[0] + "."
	}
	types := ""
	if f.Type.TypeParams != nil {
		types = "[" + strings.Join(n.names(f.Type.TypeParams, "bugType"), ", ") + "]"
	}
	args := strings.Join(n.names(f.Type.Params, "bugArg"), ", ")
	if list := f.Type.Params.List; len(list) > 0 {
		if _, variadic := list[len(list)-1].Type.(*ast.Ellipsis); variadic {
			args += "..."
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, " switch %s {", activeBug)
	for _, number := range numbers {
		call := fmt.Sprintf("%s%s%s(%s)", receiver, variant(number, f), types, args)
		if f.Type.Results.NumFields() == 0 {
			fmt.Fprintf(&b, " case %d: %s; return;", number, call)
		} else {
			fmt.Fprintf(&b, " case %d: return %s;", number, call)
		}
	}
	b.WriteString(" };")
	at := s.at(f.Body.Lbrace) + 1
	return append(n.splices, splice{at, at, b.String()})
}

// copyAs returns the text of a function as a bug changes it, under its variant's name.
func (s *source) copyAs(f *ast.FuncDecl, bug int) string {
	return s.between(f.Type.Func, f.Name.Pos()) + variant(bug, f) + s.between(f.Name.End(), f.End())
}

// namer gives names to parameters that have none, as their values are passed on.
type namer struct {
	source  *source
	splices []splice
}

func (n *namer) names(fields *ast.FieldList, prefix string) []string {
	var names []string
	for _, field := range fields.List {
		if len(field.Names) == 0 {
			name := fmt.Sprintf("%s%d", prefix, len(names))
			names = append(names, name)
			at := n.source.at(field.Type.Pos())
			n.splices = append(n.splices, splice{at, at, name + " "})
		}
		for _, id := range field.Names {
			name := id.Name
			if name == "_" {
				name = fmt.Sprintf("%s%d", prefix, len(names))
				n.splices = append(n.splices, splice{n.source.at(id.Pos()), n.source.at(id.End()), name})
			}
			names = append(names, name)
		}
	}
	return names
}

// activeBug is the variable with the number of the active bug, 0 for none. Each package
// with changed functions has its own, in a file of the overlay alone.
const activeBug = "activeBug"

// activeBugFile is the name of that file.
const activeBugFile = "bug_active.go"

// activeBugSource returns that file. A number that the program does not have is an
// error: it would be taken for a run with the bug.
func activeBugSource(pkg string, numbers []int) string {
	known := "0"
	for _, n := range numbers {
		known += fmt.Sprintf(", %d", n)
	}
	return fmt.Sprintf(`package %s

import (
	"os"
	"strconv"
)

var %s = activeBugOfEnvironment()

func activeBugOfEnvironment() int {
	text := os.Getenv(%q)
	if text == "" {
		return 0
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	switch number {
	case %s:
		return number
	}
	panic("this program is built without bug " + text)
}
`, pkg, activeBug, ActiveVariable, known)
}
