package gate

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is written is what is read.
func TestFileGoesThereAndBack(t *testing.T) {
	f := File{Toolchain: Toolchain("go1.26.8", "amd64"), Costs: []Cost{{"propose/1", 5189, 0.02}, {"lease/3", 0, 0}}}
	require.Equal(t, "go1.26 amd64", f.Toolchain)
	var b bytes.Buffer
	require.NoError(t, f.Write(&b))
	got, err := Parse(&b)
	require.NoError(t, err)
	require.Equal(t, f, got)

	_, err = Parse(strings.NewReader("# comment\npropose/1 12\n"))
	require.ErrorContains(t, err, "line 2")
	_, err = Parse(strings.NewReader("propose/1 many 0\n"))
	require.Error(t, err)
}

// A gate fails for what costs more than the tolerance allows, in either count, and for rows that have no record.
func TestCompare(t *testing.T) {
	recorded := File{Toolchain: "go1.26 amd64", Costs: []Cost{{"a", 1000, 0}, {"b", 0, 100}}}
	now := func(a, allocs, b float64) File {
		return File{Toolchain: "go1.26 amd64", Costs: []Cost{{"a", a, allocs}, {"b", 0, b}}}
	}
	for _, c := range []struct {
		now           File
		faults, gains int
	}{
		{now(1000, 0, 100), 0, 0},
		{now(1029, 0.09, 101), 0, 0},
		{now(1031, 0, 100), 1, 0},
		{now(1000, 1, 100), 1, 0},
		{now(1100, 1, 110), 3, 0},
		{now(900, 0, 90), 0, 2},
		{File{Toolchain: "go1.27 amd64", Costs: []Cost{{"a", 2000, 0}, {"b", 0, 100}}}, 0, 0},
		{File{Toolchain: "go1.26 amd64", Costs: []Cost{{"a", 1000, 0}}}, 1, 0},
		{File{Toolchain: "go1.26 amd64", Costs: []Cost{{"a", 1000, 0}, {"b", 0, 100}, {"c", 0, 0}}}, 1, 0},
	} {
		faults, gains := Compare(recorded, c.now)
		require.Len(t, faults, c.faults, "%+v: %v", c.now, faults)
		require.Len(t, gains, c.gains, "%+v: %v", c.now, gains)
	}
}
