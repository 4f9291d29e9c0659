package raft_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	rootModule = "github.com/quorate-raft/raft"

	gogoModule       = "github.com/gogo/protobuf"
	zapModule        = "go.uber.org/zap"
	datadrivenModule = "github.com/cockroachdb/datadriven"
	testifyModule    = "github.com/stretchr/testify"
	porcupineModule  = "github.com/anishathalye/porcupine"
)

// importLayer says what the non-test files of one package may import beside the standard library.
type importLayer struct {
	// packages are those of this module by directory, "." being the root. What may import the root may
	// import all that the root may.
	packages []string
	// modules are the others, with all their packages.
	modules []string
	// protocol marks the deterministic part: no clock, no I/O, no randomness of its own, no goroutines.
	protocol bool
}

// importTable has every package of this module by its directory. docs/design.md explains the layers.
var importTable = map[string]importLayer{
	"quorum":                      {protocol: true},
	"raftpb":                      {modules: []string{gogoModule}, protocol: true},
	"progress":                    {packages: []string{"quorum", "raftpb"}, protocol: true},
	"confchange":                  {packages: []string{"quorum", "raftpb"}, protocol: true},
	"internal/hook":               {packages: []string{"raftpb"}, protocol: true},
	".":                           {packages: []string{"quorum", "raftpb", "progress", "confchange", "internal/hook"}, modules: []string{zapModule}, protocol: true},
	"rafttest":                    {packages: []string{"."}, modules: []string{datadrivenModule, testifyModule}},
	"rafttest/trace":              {packages: []string{"."}},
	"rafttest/internal/invariant": {packages: []string{"."}},
	"rafttest/sim":                {packages: []string{".", "rafttest", "rafttest/trace", "rafttest/lincheck", "rafttest/internal/invariant"}},
	"rafttest/spacetime":          {packages: []string{"rafttest/trace"}},
	"rafttest/bugs":               {},
	"rafttest/bugs/hunt":          {packages: []string{"rafttest/bugs"}},
	"rafttest/explore": {packages: []string{".", "rafttest/explore/internal/mirror", "rafttest/explore/search", "rafttest/trace"},
		modules: []string{zapModule}},
	"rafttest/explore/internal/mirror": {},
	"rafttest/explore/search":          {},
	"rafttest/lincheck":                {packages: []string{".", "rafttest"}, modules: []string{porcupineModule, testifyModule}},
	"cmd/raftsim": {packages: []string{".", "rafttest", "rafttest/explore", "rafttest/explore/search", "rafttest/sim", "rafttest/spacetime",
		"rafttest/trace"}},
	"docs/figures":                {packages: []string{".", "progress", "rafttest", "rafttest/bugs", "rafttest/spacetime", "rafttest/trace"}},
	"examples/memory":             {packages: []string{"."}},
	"replica":                     {packages: []string{"."}},
	"repair":                      {packages: []string{".", "replica"}},
	"storage/internal/enginetest": {packages: []string{".", "rafttest", "rafttest/sim"}, modules: []string{testifyModule}},
	"storage/internal/grouplog":   {packages: []string{"."}},
	"storage/wal":                 {packages: []string{".", "storage/internal/grouplog"}},
	"transport":                   {packages: []string{"raftpb"}, modules: []string{zapModule}},
}

// impureImports are what the protocol may not import, with the packages below them.
var impureImports = []string{"time", "os", "net", "math/rand", "crypto/rand"}

// Files of the root package that face the outside: node.go wraps the protocol in a goroutine, and
// config.go fills in defaults.
var (
	mayImportImpure = []string{"config.go", "node.go"}
	mayStartRoutine = []string{"node.go"}
)

// Every import edge of this module is one of the table, so that leaf packages stay leaves and an embedder pays
// for the core alone; and the protocol reads no clock, does no I/O, draws no randomness and starts no goroutine, so that
// a run can be repeated from its inputs (docs/design.md).
func TestImports(t *testing.T) {
	var seen []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			return enterDirectory(name, entry.Name())
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		seen = append(seen, path.Dir(name))
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, fault := range importFaults(name, string(source)) {
			t.Error(fault)
		}
		return nil
	})
	require.NoError(t, err)
	require.Contains(t, seen, "raftpb", "the walk found no packages")
}

// enterDirectory skips what the go command skips too: hidden directories, testdata, other modules.
func enterDirectory(name, base string) error {
	if name == "." {
		return nil
	}
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// importFaults returns what is wrong with the file of that name, relative to the root of the module.
func importFaults(name, source string) []string {
	dir := path.Dir(name)
	layer, known := importTable[dir]
	if !known {
		return []string{fmt.Sprintf("%s: package %s is not in importTable: add it, with what it may import, "+
			"to imports_test.go and to the table of docs/design.md", name, dir)}
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}

	var faults []string
	fault := func(at ast.Node, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: ", files.Position(at.Pos()))+fmt.Sprintf(format, args...))
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		switch {
		case err != nil:
			fault(spec, "%v", err)
		case !layer.mayImport(imported):
			fault(spec, "package %s may not import %s", dir, imported)
		case layer.protocol && isImpure(imported) && !isRootFile(name, mayImportImpure):
			fault(spec, "the protocol may not import %s: time is ticks, randomness comes from Config.Rand", imported)
		}
	}
	if layer.protocol && !isRootFile(name, mayStartRoutine) {
		ast.Inspect(file, func(node ast.Node) bool {
			if statement, ok := node.(*ast.GoStmt); ok {
				fault(statement, "the protocol may not start goroutines")
			}
			return true
		})
	}
	return faults
}

func (l importLayer) mayImport(imported string) bool {
	if imported == rootModule {
		return slices.Contains(l.packages, ".")
	}
	if dir, ours := strings.CutPrefix(imported, rootModule+"/"); ours {
		return slices.Contains(l.packages, dir) || l.throughRoot(imported)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return imported != "C"
	}
	return isWithinAny(imported, l.modules) || l.throughRoot(imported)
}

// throughRoot reports whether the layer may import the root, and the root what is imported.
func (l importLayer) throughRoot(imported string) bool {
	return slices.Contains(l.packages, ".") && importTable["."].mayImport(imported)
}

func isImpure(imported string) bool { return isWithinAny(imported, impureImports) }

// isWithinAny reports whether a package is one of those, or below one of them.
func isWithinAny(imported string, those []string) bool {
	return slices.ContainsFunc(those, func(one string) bool {
		return imported == one || strings.HasPrefix(imported, one+"/")
	})
}

func isRootFile(name string, those []string) bool { return slices.Contains(those, name) }

// The rule itself must be able to fail: one file for each way to break it, beside those that keep it.
func TestImportRule(t *testing.T) {
	importing := func(imported string) string { return "package p\nimport _ \"" + imported + "\"\n" }
	const goroutine = "package p\nfunc f() {\n\tfunc() { go f() }()\n}\n"
	for _, test := range []struct {
		file, source string
		fault        string // "" for none
	}{
		{"quorum/a.go", importing("slices"), ""},
		{"quorum/a.go", importing(rootModule + "/raftpb"), "quorum/a.go:2:8: package quorum may not import " + rootModule + "/raftpb"},
		{"quorum/a.go", importing(gogoModule + "/proto"), "may not import"},
		{"quorum/a.go", importing("C"), "may not import"},
		{"raftpb/a.go", importing(gogoModule + "/proto"), ""},
		{"raftpb/a.go", importing(gogoModule + "2/proto"), "may not import"},
		{"raftpb/raft.pb.go", importing("time"), "the protocol may not import time"},
		{"raftpb/a.go", importing(rootModule + "/quorum"), "may not import"},
		{"progress/a.go", importing(rootModule + "/confchange"), "may not import"},
		{"progress/a.go", importing(rootModule), "may not import"},
		{"progress/a.go", importing(zapModule), "may not import"},
		{"confchange/a.go", importing(rootModule + "/quorum"), ""},
		{"raft.go", importing(rootModule + "/confchange"), ""},
		{"raft.go", importing(zapModule + "/zapcore"), ""},
		{"raft.go", importing(rootModule + "/rafttest"), "may not import"},
		{"raft.go", importing("github.com/unheard/of"), "may not import"},
		{"raft.go", importing("time"), "the protocol may not import time"},
		{"raft.go", importing("net/netip"), "the protocol may not import net/netip"},
		{"raft.go", importing("math/rand/v2"), "the protocol may not import math/rand/v2"},
		{"raft.go", importing("crypto/rand"), "the protocol may not import crypto/rand"},
		{"confchange/config.go", importing("os"), "the protocol may not import os"},
		{"config.go", importing("math/rand/v2"), ""},
		{"node.go", importing("time"), ""},
		{"raft.go", goroutine, "raft.go:3:11: the protocol may not start goroutines"},
		{"config.go", goroutine, "may not start goroutines"},
		{"progress/node.go", goroutine, "may not start goroutines"},
		{"node.go", goroutine, ""},
		{"replica/a.go", goroutine, ""},
		{"replica/a.go", importing("time"), ""},
		{"replica/a.go", importing(rootModule + "/raftpb"), ""},
		{"replica/a.go", importing(zapModule), ""},
		{"replica/a.go", importing(rootModule + "/rafttest"), "may not import"},
		{"replica/a.go", importing(testifyModule + "/require"), "may not import"},
		{"rafttest/a.go", importing(rootModule + "/quorum"), ""},
		{"rafttest/a.go", importing(testifyModule + "/require"), ""},
		{"rafttest/a.go", importing(datadrivenModule), ""},
		{"rafttest/a.go", importing(porcupineModule), "may not import"},
		{"rafttest/lincheck/a.go", importing(porcupineModule), ""},
		{"cmd/raftsim/a.go", importing(rootModule + "/rafttest"), ""},
		{"transport/a.go", importing(rootModule + "/raftpb"), ""},
		{"transport/a.go", importing(zapModule), ""},
		{"transport/a.go", importing(rootModule), "may not import"},
		{"transport/a.go", importing(gogoModule + "/proto"), "may not import"},
		{"novel/a.go", importing("fmt"), "package novel is not in importTable: add it"},
		{"rafttest/novel/a.go", importing("fmt"), "package rafttest/novel is not in importTable: add it"},
		{"raft.go", "package", "raft.go:1:8: expected 'IDENT'"},
	} {
		faults := importFaults(test.file, test.source)
		if test.fault == "" {
			require.Empty(t, faults, "%s: %s", test.file, test.source)
			continue
		}
		require.NotEmpty(t, faults, "%s: %s", test.file, test.source)
		require.Contains(t, faults[0], test.fault)
	}
}
