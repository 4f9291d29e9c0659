package wire

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/quorate-raft/raft/raftpb"
)

// testOddities compares random records among whose fields, nested ones too, there are such as one side refuses: random
// bytes seldom are deep in a record.
func testOddities(t *testing.T, p Peer) {
	g := NewGenerator(10)
	g.large, g.many = 20, 3
	seen := make(map[reason]int)
	for _, empty := range ours {
		structType := reflect.TypeOf(empty).Elem()
		for range rounds {
			r := blank(empty)
			g.Fill(r)
			odd := g.odd(structType, encode(t, r))
			readers{p, Record.Unmarshal}.compare(t, empty, odd)
			_, found, well := repair(p, structType, odd)
			for reason := range found {
				if well {
					seen[reason]++
				}
			}
		}
	}
	for _, reason := range slices.Concat(weRefuse(p), theyRefuse(p)) {
		require.Greater(t, seen[reason], rounds/50, reason)
	}
}

// testDepth compares what nests as deep as Google's library takes, and deeper: Message.responses, which only the peer
// decodes, and groups, which nobody knows.
func testDepth(t *testing.T, p Peer) {
	nested := []byte{}
	for depth := 1; depth <= messageDepth+1; depth++ {
		if depth >= messageDepth {
			readers{p, Record.Unmarshal}.compare(t, &pb.Message{}, slices.Concat([]byte{0x10, 7}, nested, []byte{0x40, 9}))
		}
		nested = appendBytes(responses, nested)
	}
	for depth := groupDepth; depth <= groupDepth+1; depth++ {
		groups := append(bytes.Repeat([]byte{0x7b}, depth), bytes.Repeat([]byte{0x7c}, depth)...)
		readers{p, Record.Unmarshal}.compare(t, &pb.Message{}, slices.Concat([]byte{0x10, 7}, groups, []byte{0x40, 9}))
	}
}

// odd returns the encoded message with such fields within and between its own.
func (g *Generator) odd(structType reflect.Type, encoded []byte) []byte {
	types := fieldTypes(structType)
	var odd []byte
	for _, f := range split(encoded) {
		t := types[f.number]
		if inner, message := messageOf(orBytes(t)); message {
			content, _ := protowire.ConsumeBytes(f.value)
			f.raw = appendBytes(f.number, g.odd(inner, content))
			_, _, tag := protowire.ConsumeTag(f.raw)
			f.value = f.raw[tag:]
		}
		odd = append(odd, g.oddForm(t, f)...)
		if g.IntN(30) == 0 {
			odd = append(odd, g.oddity(structType)...)
		}
	}
	if g.IntN(200) == 0 {
		odd = append(odd, 8)
	}
	return odd
}

func orBytes(t reflect.Type) reflect.Type {
	if t == nil {
		return reflect.TypeFor[[]byte]()
	}
	return t
}

// oddForm returns the field in a form that gogo's code takes, which may be that of Google's too.
func (g *Generator) oddForm(t reflect.Type, f field) []byte {
	tag := protowire.EncodeTag(f.number, f.kind)
	repeated := t != nil && t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint64
	switch choice := g.IntN(30); {
	case choice == 0:
		return append(g.long(tag), f.value...)
	case choice == 1:
		return append(protowire.AppendVarint(nil, tag|1<<(35+g.IntN(29))), f.value...)
	case choice < 4 && f.kind == protowire.VarintType:
		value, _ := protowire.ConsumeVarint(f.value)
		return append(protowire.AppendVarint(nil, tag), g.long(value)...)
	case choice < 10 && repeated && f.kind == protowire.VarintType:
		last := protowire.AppendVarint(nil, g.Uint64()|1<<63)
		cut := 1 + g.IntN(len(last)-1)
		return append(appendBytes(f.number, slices.Concat(f.value, last[:cut])), last[cut:]...)
	}
	return f.raw
}

// long returns the number in ten bytes, with bits beyond the 64th, some of the time.
func (g *Generator) long(v uint64) []byte {
	b := make([]byte, 10)
	for i := range b {
		b[i] = byte(v>>(7*i)) | 0x80
	}
	b[9] = b[9]&1 | byte(g.IntN(64))<<1
	return b
}

// oddity returns a field that one side refuses, or both.
func (g *Generator) oddity(structType reflect.Type) []byte {
	start := protowire.AppendTag(nil, 99, protowire.StartGroupType)
	end := protowire.AppendTag(nil, 99, protowire.EndGroupType)
	junk := bytes.Repeat([]byte{0x80}, 1+g.IntN(3))
	numbers := slices.Sorted(maps.Keys(fieldTypes(structType)))
	last := numbers[len(numbers)-1]
	switch choice := g.IntN(6); {
	case choice == 0:
		return slices.Concat(start, g.unknown(15), protowire.AppendTag(nil, 98, protowire.EndGroupType))
	case choice == 1:
		return slices.Concat(start, []byte{0, 1}, end)
	case choice == 2:
		return protowire.AppendVarint(protowire.AppendVarint(nil, uint64(protowire.MaxValidNumber+1)<<3), g.uint64())
	case choice == 3 && structType.Name() == "Message":
		return appendBytes(responses, junk)
	case choice == 4 && last >= ownFields:
		return appendBytes(last, junk)
	}
	// Its value may fit or not.
	return g.unknown(numbers[g.IntN(len(numbers))])
}
