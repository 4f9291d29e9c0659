package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func exploring(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = command(context.Background(), append([]string{"explore"}, args...), &out, &errs)
	return status, out.String(), errs.String()
}

// Wrong flags are refused with what would be right, and nothing is explored.
func TestExploreFlags(t *testing.T) {
	for flags, text := range map[string]string{
		"-tier weekend":      "there are change, nightly, weekly",
		"-model four":        "there are two, three, two-defaults, two-reads",
		"-memory 0":          "-memory (0) must be between",
		"-workers -1":        "-workers must not be negative",
		"change":             `unexpected argument "change"`,
		"-nosuch 3":          "-h lists the flags",
		"-html /no/such/dir": "writing the diagram",
	} {
		status, out, errs := exploring(t, strings.Fields(flags)...)
		require.Equal(t, 2, status, flags)
		require.Empty(t, out)
		require.Contains(t, errs, text)
	}
	status, _, errs := exploring(t, "-h")
	require.Zero(t, status)
	require.Contains(t, errs, "-tier")
	status, out, _ := exploring(t, "-list")
	require.Zero(t, status)
	require.Contains(t, out, "two-swap-append")
}

// A model is explored to the end, its states are counted, and a run that was ended goes on from its directory.
func TestExploreModel(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, errs bytes.Buffer
	require.Equal(t, interrupted, command(ctx, []string{"explore", "-model", "two-swap-append", "-dir", dir, "-quiet"}, &out, &errs))
	require.Contains(t, out.String(), "interrupted")
	status, text, why := exploring(t, "-model", "two-swap-append", "-dir", dir)
	require.Zero(t, status, why)
	require.Contains(t, text, "two-swap-append: states=337539 ")
	require.Contains(t, why, "two-swap-append: 1 states, depth 0")
	// The search is over; its result is still there.
	status, text, _ = exploring(t, "-model", "two-swap-append", "-dir", dir, "-quiet")
	require.Zero(t, status)
	require.Contains(t, text, "two-swap-append: states=337539 ")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o666))
	status, _, why = exploring(t, "-model", "two-swap-append", "-dir", filepath.Join(dir, "file"), "-quiet")
	require.Equal(t, 2, status)
	require.Contains(t, why, "two-swap-append:")
}
