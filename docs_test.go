package raft_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Go code in the README and in docs is code that compiles: every block stands,
// but for white space, in a file that is compiled.
func TestDocumentedCodeCompiles(t *testing.T) {
	compiled := ""
	for _, name := range []string{"example_test.go", "rafttest/checkhost_example_test.go", "examples/counter/main.go", "repair/example_test.go",
		"interop/migration/etcd.go", "interop/migration/ours.go"} {
		src, err := os.ReadFile(name)
		require.NoError(t, err)
		compiled += squeeze(string(src)) + " "
	}
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	blocks := 0
	for _, page := range append(pages, "README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			blocks++
			require.Contains(t, compiled, squeeze(block[1]), "in %s", page)
		}
	}
	require.NotZero(t, blocks, "no code found")
}

// Links from page to page lead somewhere.
func TestDocumentedLinksExist(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, page := range append(pages, "README.md", "CHANGELOG.md", "SECURITY.md", "examples/kv/README.md", "interop/README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(string(text), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(page), link[1]))
			require.NoError(t, err, "in %s", page)
		}
	}
}

// Every test exists that docs/security.md names for a promise, docs/differences.md for a difference, or docs/membership.md
// for a hazard.
func TestNamedTestsExist(t *testing.T) {
	tests := make(map[string]bool)
	err := filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		for _, match := range regexp.MustCompile(`(?m)^func ((Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
			tests[string(match[1])] = true
		}
		return err
	})
	require.NoError(t, err)
	suite, err := os.ReadFile("storage/internal/enginetest/enginetest.go") // run as TestEngine by both storages
	require.NoError(t, err)
	for _, match := range regexp.MustCompile(`(?m)^\t\t\{"(\w+)", test\w+\},$`).FindAllSubmatch(suite, -1) {
		tests["TestEngine/"+string(match[1])] = true
	}
	for _, page := range []string{"docs/security.md", "docs/differences.md", "docs/membership.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		named := regexp.MustCompile("`((Test|Fuzz)[\\w/]+)`").FindAllSubmatch(text, -1)
		require.NotEmpty(t, named)
		for _, match := range named {
			require.True(t, tests[string(match[1])], "there is no %s, which %s names", match[1], page)
		}
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
