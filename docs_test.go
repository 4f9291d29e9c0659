package raft_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Go code in the README and in docs is code that compiles: every block stands,
// but for white space, in example_test.go.
func TestDocumentedCodeCompiles(t *testing.T) {
	compiled := ""
	for _, name := range []string{"example_test.go", "rafttest/checkhost_example_test.go"} {
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
	for _, page := range append(pages, "README.md", "CHANGELOG.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(string(text), -1) {
			require.FileExists(t, strings.TrimSuffix(filepath.Join(filepath.Dir(page), link[1]), "/"), "in %s", page)
		}
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
