package wire

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/quorate-raft/raft/raftpb"
)

// field is one field of an encoded message: its tag and value as they stand, and the value alone.
type field struct {
	number protowire.Number
	kind   protowire.Type
	raw    []byte
	value  []byte
}

// split returns the fields of an encoded message, which has to be well-formed.
func split(encoded []byte) []field {
	var fields []field
	for len(encoded) > 0 {
		number, kind, tag := protowire.ConsumeTag(encoded)
		n := protowire.ConsumeFieldValue(number, kind, encoded[max(tag, 0):])
		if tag < 0 || n < 0 {
			panic(fmt.Sprintf("no field begins with %x", encoded))
		}
		fields = append(fields, field{number, kind, encoded[:tag+n], encoded[tag : tag+n]})
		encoded = encoded[tag+n:]
	}
	return fields
}

// rewrite returns other bytes that mean the same as the encoded record of the type of r.
func (g *Generator) rewrite(r Record, encoded []byte) []byte {
	return g.rewriteStruct(reflect.TypeOf(r).Elem(), encoded)
}

func (g *Generator) rewriteStruct(structType reflect.Type, encoded []byte) []byte {
	types := fieldTypes(structType)
	// The fields of one number keep their order; those of different numbers may come in any.
	byNumber := make(map[protowire.Number][][]byte)
	for _, f := range split(encoded) {
		byNumber[f.number] = append(byNumber[f.number], g.rewriteField(types[f.number], f)...)
	}
	for range g.IntN(3) {
		number := []protowire.Number{15, 99, 199, 2000, protowire.MaxValidNumber}[g.IntN(5)]
		byNumber[number] = append(byNumber[number], g.unknown(number))
	}
	var rewritten []byte
	numbers := slices.Sorted(maps.Keys(byNumber))
	for len(numbers) > 0 {
		i := g.IntN(len(numbers))
		queue := byNumber[numbers[i]]
		rewritten = append(rewritten, queue[0]...)
		byNumber[numbers[i]] = queue[1:]
		if len(queue) == 1 {
			numbers = slices.Delete(numbers, i, i+1)
		}
	}
	return rewritten
}

// rewriteField returns fields that together mean the same as f. A nil type is a field that we do not know.
func (g *Generator) rewriteField(t reflect.Type, f field) [][]byte {
	if t == nil {
		return [][]byte{f.raw}
	}
	structType, message := messageOf(t)
	repeated := t.Kind() == reflect.Slice && !isBytes(t)
	switch {
	case message && repeated:
		value, _ := protowire.ConsumeBytes(f.value)
		return [][]byte{appendBytes(f.number, g.rewriteStruct(structType, value))}
	case message:
		value, _ := protowire.ConsumeBytes(f.value)
		// Two pieces of a message are merged.
		fields := split(g.rewriteStruct(structType, value))
		var pieces [2][]byte
		cut := g.IntN(len(fields) + 1)
		if structType == reflect.TypeFor[pb.SnapshotMetadata]() {
			// SnapshotConf counts if it is of the same piece as the index that it names. Nobody writes pieces.
			cut = len(fields)
		}
		for i, inner := range fields {
			piece := &pieces[0]
			if i >= cut {
				piece = &pieces[1]
			}
			*piece = append(*piece, inner.raw...)
		}
		return [][]byte{appendBytes(f.number, pieces[0]), appendBytes(f.number, pieces[1])}
	case repeated && f.kind == protowire.VarintType && g.IntN(2) == 0:
		// A packed field of one number; others of the same number may stay single.
		return [][]byte{appendBytes(f.number, f.value)}
	case repeated:
		return [][]byte{f.raw}
	case t.Kind() == reflect.Bool && f.value[0] == 1:
		// Any number but zero is true.
		return [][]byte{protowire.AppendVarint(protowire.AppendTag(nil, f.number, f.kind), max(1, g.uint64()))}
	case g.IntN(4) == 0:
		return [][]byte{g.earlier(f), f.raw}
	}
	return [][]byte{f.raw}
}

// earlier returns a field that f, which follows, makes void.
func (g *Generator) earlier(f field) []byte {
	if f.kind == protowire.BytesType {
		return appendBytes(f.number, g.bytes())
	}
	return protowire.AppendVarint(protowire.AppendTag(nil, f.number, protowire.VarintType), g.uint64())
}

func (g *Generator) unknown(number protowire.Number) []byte {
	kind := []protowire.Type{
		protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.BytesType, protowire.StartGroupType,
	}[g.IntN(5)]
	b := protowire.AppendTag(nil, number, kind)
	switch kind {
	case protowire.VarintType:
		return protowire.AppendVarint(b, g.uint64())
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(b, g.Uint32())
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(b, g.Uint64())
	case protowire.BytesType:
		return protowire.AppendBytes(b, g.bytes())
	default:
		inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), g.uint64())
		return protowire.AppendGroup(b, number, inner)
	}
}

func appendBytes(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}
