package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every write that was acknowledged is applied on every member, and the table has a line for each number of writers.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-writers", "1,4", "-time", "200ms", "-warm", "50ms", "-dir", t.TempDir()}, &out))
	require.Regexp(t, `(?m)^ +1 +[1-9]`, out.String())
	require.Regexp(t, `(?m)^ +4 +[1-9]`, out.String())
}

func TestWrongFlags(t *testing.T) {
	for _, args := range [][]string{{"-writers", "0"}, {"-writers", "x"}, {"-time", "0s"}, {"-size", "-1"}, {"extra"}} {
		require.Error(t, run(t.Context(), args, &bytes.Buffer{}), "%v", args)
	}
}

type failing struct{}

var errFull = errors.New("full")

func (failing) Write(context.Context, []byte) error { return errFull }

// A write that fails ends the measurement with its error.
func TestLoadFails(t *testing.T) {
	_, err := load(t.Context(), failing{}, 2, 1, 0, time.Millisecond)
	require.ErrorIs(t, err, errFull)
}

func TestQuantile(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(i))
	}
	require.EqualValues(t, 50, quantile(all, 0.5))
	require.EqualValues(t, 99, quantile(all, 0.99))
	require.EqualValues(t, 0, quantile(all[:1], 0.99))
}
