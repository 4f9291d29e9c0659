package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The figures that are committed are those that the scripts make of the code as it is: a page about hazards must not show
// what the library did once. `make figures` writes them anew, to be looked at before they are believed.
func TestFiguresAreCurrent(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command anew")
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	require.NoError(t, run(root, "", true, io.Discard))
}

// The script with a bug shows nothing without it: the library refuses.
func TestBugIsNeeded(t *testing.T) {
	for _, f := range figures {
		if f.bug != 0 {
			require.Panics(t, func() { _ = f.draw(io.Discard) }, f.name)
		}
	}
}

// A figure is the same each time, and shows a broken promise only where it is to.
func TestScriptsRepeat(t *testing.T) {
	for _, f := range figures {
		if f.bug != 0 {
			continue
		}
		var one, two bytes.Buffer
		require.NoError(t, f.draw(&one))
		require.NoError(t, f.draw(&two))
		require.Equal(t, one.String(), two.String())
		require.Equal(t, f.name == "two-majorities", strings.Contains(one.String(), "note bad"), f.name)
	}
}
