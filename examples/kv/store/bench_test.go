package store

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-raft/raft/replica"
)

// benchValue is a value of usual size.
var benchValue = bytes.Repeat([]byte("v"), 100)

// BenchmarkApply is of commands in batches, on a real disk, not synced; an operation is
// a command.
func BenchmarkApply(b *testing.B) {
	put := func(id RequestID, i int) []byte {
		return must(EncodePut(id, fmt.Appendf(nil, "key%07d", i*7919%100_000), benchValue))
	}
	kinds := []struct {
		name    string
		command func(client uint64, i int) []byte
	}{
		{"put", func(_ uint64, i int) []byte { return put(RequestID{}, i) }},
		{"put-once", func(client uint64, i int) []byte { return put(RequestID{client, uint64(i)}, i) }},
		{"cas", func(_ uint64, i int) []byte {
			key := fmt.Appendf(nil, "key%07d", i*7919%100_000)
			return must(EncodeCompareAndSet(RequestID{}, key, IfAbsent(), benchValue))
		}},
	}
	for _, kind := range kinds {
		for _, size := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("%s/batch=%d", kind.name, size), func(b *testing.B) {
				s, err := Open(b.TempDir(), nil)
				require.NoError(b, err)
				defer s.Close()
				const client = 1
				apply(b, s, client, EncodeRegister())
				commands := make([]replica.Command, b.N)
				for i := range commands {
					commands[i] = replica.Command{Index: uint64(i + 2), Data: kind.command(client, i+1)}
				}
				b.ReportAllocs()
				b.ResetTimer()
				for len(commands) > 0 {
					n := min(size, len(commands))
					require.NoError(b, s.Apply(commands[:n]))
					commands = commands[n:]
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
			})
		}
	}
}

// BenchmarkGet is of keys among 100,000.
func BenchmarkGet(b *testing.B) {
	s := benchStore(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _, found, err := s.Get(fmt.Appendf(nil, "key%07d", i*7919%100_000))
		if err != nil || !found {
			b.Fatal(found, err)
		}
	}
}

// BenchmarkSnapshot writes a View of 100,000 keys, and restores it.
func BenchmarkSnapshot(b *testing.B) {
	s := benchStore(b)
	view := viewOf(b, s)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(view)))
		v, err := s.View()
		require.NoError(b, err)
		defer v.Close()
		for b.Loop() {
			_, err := v.WriteTo(io.Discard)
			require.NoError(b, err)
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(int64(len(view)))
		for b.Loop() {
			require.NoError(b, s.Restore(200_000, bytes.NewReader(view)))
		}
	})
}

func benchStore(b *testing.B) *Store {
	s, err := Open(b.TempDir(), nil)
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	for i := range uint64(100_000) {
		apply(b, s, i+1, must(EncodePut(RequestID{}, fmt.Appendf(nil, "key%07d", i), benchValue)))
	}
	return s
}
