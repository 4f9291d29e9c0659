package wire

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/quorate-raft/raft/raftpb"
)

// repair returns the bytes of a message, given by its struct of ours, without that for which one of the sides refuses
// them and the other does not, and the reasons that it found. What gogo's code takes and Google's does not is
// written as gogo's understands it; a field that only one side decodes and refuses is left out, and so is one that
// Google's takes for unknown and gogo's refuses. The rest is as it was, so both sides have to agree on it; if well is
// false, both have to refuse it.
func repair(p Peer, structType reflect.Type, encoded []byte) (repaired []byte, found map[reason]bool, well bool) {
	r := repairer{google: p.GoogleReader(), found: make(map[reason]bool)}
	repaired, well = r.message(structType, encoded, 1)
	return repaired, r.found, well
}

// repairer reads the encoding as gogo's code does, which is the laxer one.
type repairer struct {
	// google says whether the peer, or the reader in question, is Google's.
	google bool
	known  known
	found  map[reason]bool
}

// known is which fields count: those of both sides, or all that one side decodes.
type known int

const (
	knownToBoth known = iota
	knownToUs
	knownToThem
)

// message returns the repaired fields; from the first one that both sides have to refuse it copies what is there, and
// returns false.
func (r repairer) message(structType reflect.Type, encoded []byte, depth int) (repaired []byte, well bool) {
	if r.google && depth > messageDepth {
		return encoded, false
	}
	for len(encoded) > 0 {
		f, well := r.frame(encoded)
		var fixed []byte
		if well {
			fixed, well = r.field(structType, &f, depth)
		}
		if !well && fixed == nil {
			return append(repaired, encoded...), false
		}
		repaired = append(repaired, fixed...)
		if !well {
			return append(repaired, f.rest...), false
		}
		encoded = f.rest
	}
	return repaired, true
}

// field returns the repaired field, nothing if it is left out; false if both sides have to refuse it.
func (r repairer) field(structType reflect.Type, f *frame, depth int) ([]byte, bool) {
	t, business := r.look(structType, f.number)
	switch {
	case business != r.known:
		if !r.refuses(business, structType, f) {
			return f.bytes(), true
		}
		r.found[map[known]reason{knownToUs: badOwnField, knownToThem: badResponses}[business]] = true
		return nil, true
	case t == nil:
		return f.bytes(), true
	case fits(t, f.kind):
		return r.value(t, f, depth)
	case r.google:
		// To Google's library the field is unknown.
		r.found[otherWireType] = true
		return nil, true
	}
	return nil, false
}

// look returns the type of a field, nil for one that is unknown, and whose business it is.
func (r repairer) look(structType reflect.Type, number protowire.Number) (reflect.Type, known) {
	t := fieldTypes(structType)[number]
	switch {
	case isResponses(structType.Name(), number) && r.known == knownToUs:
		return nil, r.known
	case isResponses(structType.Name(), number):
		return reflect.SliceOf(structType), knownToThem
	case t != nil && number >= ownFields && r.known == knownToThem:
		return nil, r.known
	case t != nil && number >= ownFields:
		return t, knownToUs
	}
	return t, r.known
}

// refuses reports whether the side that decodes the field refuses it.
func (r repairer) refuses(side known, structType reflect.Type, f *frame) bool {
	reader := repairer{google: r.google && side == knownToThem, known: side, found: make(map[reason]bool)}
	_, well := reader.message(structType, f.bytes(), 1)
	return !well || reader.google && oneOf(lax, reader.found)
}

// value repairs a field of a known type. Packed numbers may take more of what follows than their length says.
func (r repairer) value(t reflect.Type, f *frame, depth int) ([]byte, bool) {
	structType, message := messageOf(t)
	switch {
	case message:
		inner, well := r.message(structType, f.content, depth+1)
		return f.with(inner), well
	case f.kind == protowire.BytesType && !isBytes(t):
		numbers, read := r.numbers(f.content, f.rest)
		if read < 0 {
			return nil, false
		}
		if read > len(f.content) {
			r.found[badPacked] = true
		}
		f.rest = f.rest[read-len(f.content):]
		return f.with(numbers), true
	}
	return f.bytes(), true
}

// numbers returns the varints that begin within packed, and how many bytes they take of it and of what follows; a
// negative number if one does not end.
func (r repairer) numbers(packed, rest []byte) (repaired []byte, read int) {
	all := slices.Concat(packed, rest)
	for read < len(packed) {
		_, raw, ok := r.varint(all[read:])
		if !ok {
			return nil, -1
		}
		repaired = append(repaired, raw...)
		read += len(raw)
	}
	return repaired, read
}

// fits reports whether both libraries read a field of that type from that wire type.
func fits(t reflect.Type, kind protowire.Type) bool {
	_, message := messageOf(t)
	if message || isBytes(t) {
		return kind == protowire.BytesType
	}
	return kind == protowire.VarintType || t.Kind() == reflect.Slice && kind == protowire.BytesType
}

// frame is a field as it stands before the bytes that follow it: its tag, the length if it has one, and what it holds, of
// which only the tag, the length and a number are repaired.
type frame struct {
	number               protowire.Number
	kind                 protowire.Type
	tag, length, content []byte
	rest                 []byte
}

func (f frame) bytes() []byte { return slices.Concat(f.tag, f.length, f.content) }

// with returns the field with other content.
func (f frame) with(content []byte) []byte {
	if bytes.Equal(content, f.content) {
		return f.bytes()
	}
	return protowire.AppendBytes(slices.Clone(f.tag), content)
}

// frame reads the field with which the bytes begin, and returns false if there is none.
func (r repairer) frame(encoded []byte) (frame, bool) {
	tag, raw, ok := r.varint(encoded)
	f := frame{number: protowire.Number(int32(tag >> 3)), kind: protowire.Type(tag & 7), tag: raw, rest: encoded[len(raw):]}
	if !ok || f.number <= 0 {
		return f, false
	}
	if tag>>3 > uint64(protowire.MaxValidNumber) {
		r.found[badNumber] = true
		f.number = min(f.number, protowire.MaxValidNumber)
		f.tag = protowire.AppendTag(nil, f.number, f.kind)
	}
	return f, r.content(&f)
}

// content reads what follows a tag.
func (r repairer) content(f *frame) bool {
	size, ok := 0, true
	switch f.kind {
	case protowire.VarintType:
		_, f.content, ok = r.varint(f.rest)
		f.rest = f.rest[len(f.content):]
		return ok
	case protowire.StartGroupType:
		return r.group(f)
	case protowire.Fixed32Type:
		size = 4
	case protowire.Fixed64Type:
		size = 8
	case protowire.BytesType:
		var length uint64
		length, f.length, ok = r.varint(f.rest)
		f.rest = f.rest[len(f.length):]
		size = int(min(length, math.MaxInt))
	default:
		return false
	}
	if !ok || size > len(f.rest) {
		return false
	}
	f.content, f.rest = f.rest[:size], f.rest[size:]
	return true
}

// group reads a group that is skipped to its end. Gogo's code counts beginnings and ends.
func (r repairer) group(f *frame) bool {
	open := []protowire.Number{f.number}
	for len(open) > 0 {
		tag, raw, ok := r.varint(f.rest)
		if !ok {
			return false
		}
		inner := frame{number: protowire.MaxValidNumber, kind: protowire.Type(tag & 7), tag: raw, rest: f.rest[len(raw):]}
		if number := tag >> 3; number > 0 && number <= math.MaxInt32 {
			inner.number = protowire.Number(number)
		} else {
			r.found[badNumber] = true
			inner.tag = protowire.AppendTag(nil, inner.number, inner.kind)
		}
		depth := len(open)
		switch inner.kind {
		case protowire.EndGroupType:
			last := open[depth-1]
			open = open[:depth-1]
			if inner.number != last {
				r.found[badGroup] = true
				inner.tag = protowire.AppendTag(nil, last, inner.kind)
			}
		case protowire.StartGroupType:
			open = append(open, inner.number)
			depth++
		default:
			if !r.content(&inner) {
				return false
			}
		}
		f.rest = inner.rest
		if depth > groupDepth {
			r.found[badGroup] = true
			continue
		}
		f.content = append(f.content, inner.bytes()...)
	}
	return true
}

// varint reads a number of at most ten bytes, of which the last one counts for one bit.
func (r repairer) varint(encoded []byte) (value uint64, raw []byte, ok bool) {
	for i, b := range encoded[:min(len(encoded), protowire.SizeVarint(math.MaxUint64))] {
		value |= uint64(b&0x7f) << (7 * i)
		if b >= 0x80 {
			continue
		}
		raw = encoded[:i+1]
		if i == 9 && b > 1 {
			r.found[longVarint] = true
			raw = slices.Clone(raw)
			raw[i] &= 1
		}
		return value, raw, true
	}
	return 0, nil, false
}

var fieldTypesOf sync.Map

// fieldTypes returns the types of a struct's fields by number, and that of the field of SnapshotMetadata that is none of its
// struct.
func fieldTypes(structType reflect.Type) map[protowire.Number]reflect.Type {
	if types, ok := fieldTypesOf.Load(structType); ok {
		return types.(map[protowire.Number]reflect.Type)
	}
	types := make(map[protowire.Number]reflect.Type)
	for structField := range structType.Fields() {
		if number, ok := numberOf(structField); ok {
			types[number] = structField.Type
		}
	}
	if structType == reflect.TypeFor[pb.SnapshotMetadata]() {
		types[ownFields] = reflect.TypeFor[*pb.SnapshotConf]()
	}
	fieldTypesOf.Store(structType, types)
	return types
}
