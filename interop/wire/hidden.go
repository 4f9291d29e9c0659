package wire

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/quorate-raft/raft/raftpb"
)

// marker is the number that a wrong reader takes for another, or refuses; truncated are bytes that it takes.
const marker = 123_456_789

var truncated = []byte{8}

// wrongs are the readers that are wrong, made of one that is right. Each has to be found wherever it is wrong.
var wrongs = map[string]func(read func(any, []byte) error) func(any, []byte) error{
	"reads another value": func(read func(any, []byte) error) func(any, []byte) error {
		return func(record any, encoded []byte) error {
			err := read(record, encoded)
			for _, v := range marked(record) {
				v.SetUint(marker + 1)
			}
			return err
		}
	},
	"refuses": func(read func(any, []byte) error) func(any, []byte) error {
		return func(record any, encoded []byte) error {
			err := read(record, encoded)
			if len(marked(record)) > 0 {
				return errors.New("marked")
			}
			return err
		}
	},
	"takes": func(read func(any, []byte) error) func(any, []byte) error {
		return func(record any, encoded []byte) error {
			return read(record, bytes.TrimSuffix(encoded, truncated))
		}
	},
}

// marked returns the fields of a record that hold the marker.
func marked(record any) []reflect.Value {
	var found []reflect.Value
	walk(reflect.ValueOf(record).Elem(), func(_ reflect.Type, _ reflect.StructField, v reflect.Value) {
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() == reflect.Uint64 && v.Uint() == marker {
			found = append(found, v)
		}
	})
	return found
}

// testNothingIsHidden checks that what one side is known to refuse hides no real difference: with each such thing in
// the bytes, before, after or around a field that one side reads wrongly, the comparison fails.
func testNothingIsHidden(t *testing.T, p Peer) {
	oddities := map[reason][]byte{
		longVarint:    {0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		badNumber:     {0x80, 0x80, 0x80, 0x80, 0x10, 5},
		badGroup:      {0x7b, 0x84, 1},
		badPacked:     {0x4a, 9, 0x12, 7, 0x0a, 5, 0x0a, 2, 1, 0x80, 1},
		otherWireType: {0x60, 1},
		badOwnField:   {0xa2, 6, 0},
		badResponses:  {0x72, 1, 8},
	}
	number := protowire.AppendVarint([]byte{0x40}, marker)
	entry := appendBytes(7, protowire.AppendVarint([]byte{0x18}, marker))
	for _, reason := range slices.Concat(weRefuse(p), theyRefuse(p)) {
		odd := oddities[reason]
		weTake := new(pb.Message).Unmarshal(odd) == nil
		theyTake := p.Unmarshal(odd, p.New("Message")) == nil
		require.NotEqual(t, weTake, theyTake, reason)

		inputs := [][]byte{
			slices.Concat(odd, number), slices.Concat(number, odd), slices.Concat(odd, entry), slices.Concat(entry, odd),
		}
		if slices.Contains(lax, reason) && reason != badPacked {
			inputs = append(inputs, appendBytes(7, slices.Concat(odd, entry[2:])))
		}
		for _, encoded := range inputs {
			right := readers{p, Record.Unmarshal}
			require.False(t, fails(t, func(tb testing.TB) { right.compare(tb, &pb.Message{}, encoded) }), "%x", encoded)
			for name, wrong := range wrongs {
				input := encoded
				if name == "takes" {
					input = slices.Concat(encoded, truncated)
				}
				we := readers{p, func(r Record, b []byte) error { return wrong(readOurs)(r, b) }}
				they := readers{wrongPeer{p, wrong(readTheirs(p))}, Record.Unmarshal}
				for side, s := range map[string]readers{"we": we, "they": they} {
					found := fails(t, func(tb testing.TB) { s.compare(tb, &pb.Message{}, input) })
					require.True(t, found, "%s, wrong: %s, hidden by %s: %x", side, name, reason, input)
				}
			}
		}
	}
}

func readOurs(record any, encoded []byte) error { return record.(Record).Unmarshal(encoded) }

func readTheirs(p Peer) func(any, []byte) error {
	return func(record any, encoded []byte) error { return p.Unmarshal(encoded, record) }
}

// wrongPeer is a peer with another reader.
type wrongPeer struct {
	Peer
	read func(any, []byte) error
}

func (w wrongPeer) Unmarshal(encoded []byte, record any) error { return w.read(record, encoded) }

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed bool
}

func (*recorder) Helper()                 {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) FailNow() {
	r.failed = true
	runtime.Goexit()
}

// fails reports whether the check fails the test that it is given.
func fails(t *testing.T, check func(testing.TB)) bool {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(r)
	}()
	<-done
	return r.failed
}
