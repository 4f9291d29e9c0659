package wire

import (
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/quorate-raft/raft/raftpb"
)

// reason is why one side may take bytes that the other refuses.
type reason string

const (
	// malformed is no reason by itself: both sides have to refuse it.
	malformed reason = "malformed"
	// Only we decode our own fields, so only we see what is wrong in one.
	badOwnField reason = "wrong in a field of our own"
	// Only the peer decodes Message.responses.
	badResponses reason = "wrong in Message.responses"
	// Google's library keeps a known field with the wire type of another as unknown; gogo's refuses it.
	otherWireType reason = "wire type of another field"
	// Google's library refuses a field number of more than 29 bits; gogo's takes the lower 32 bits of one. In a group
	// that is skipped gogo's also takes zero.
	badNumber reason = "field number that is none"
	// Google's library refuses a varint of more than 64 bits; gogo's drops what is beyond, up to ten bytes.
	longVarint reason = "varint of more than 64 bits"
	// Google's library wants the end of a group to have its number, and groups to nest less than ten thousand deep.
	badGroup reason = "end of another group, or groups too deep"
	// Google's library refuses packed numbers that end within one; gogo's reads on to the end of the number, and then finds
	// other fields than are there.
	badPacked reason = "packed numbers that end within one"
)

// lax are what gogo's code reads on after and Google's library does not; nor does readMessage, so what follows is not
// looked at.
var lax = []reason{badNumber, longVarint, badGroup, badPacked}

// weMayRefuse has the reasons for which we may refuse what the peer takes, theyMayRefuse the reverse. Without one the
// two have to agree.
func weMayRefuse(p Peer) []reason {
	if p.GoogleReader() {
		return []reason{badOwnField, otherWireType}
	}
	// What follows something lax may be a field of our own.
	return append([]reason{badOwnField}, lax...)
}

func theyMayRefuse(p Peer) []reason {
	// Again, what follows may be Message.responses.
	return append([]reason{badResponses}, lax...)
}

// reasons returns what is wrong with bytes that are to be an encoded message of ours, read by the definition of the
// format.
func reasons(r Record, encoded []byte) map[reason]bool {
	found := make(map[reason]bool)
	readMessage(reflect.TypeOf(r).Elem(), encoded, func(r reason) { found[r] = true })
	return found
}

// readMessage ends at the first thing that is malformed, since what follows has no meaning.
func readMessage(structType reflect.Type, encoded []byte, report func(reason)) {
	types := fieldTypes(structType)
	for len(encoded) > 0 {
		number, kind, n := protowire.ConsumeTag(encoded)
		if n < 0 {
			reportError(n, report)
			return
		}
		if number > protowire.MaxValidNumber {
			report(badNumber)
		}
		encoded = encoded[n:]
		n = protowire.ConsumeFieldValue(number, kind, encoded)
		within := report
		t := types[number]
		switch {
		case number >= ownFields && t != nil:
			within = func(r reason) { report(r); report(badOwnField) }
		case isResponses(structType.Name(), number):
			within = func(r reason) { report(r); report(badResponses) }
			t = reflect.SliceOf(structType)
		}
		if n < 0 {
			reportError(n, within)
			return
		}
		if t != nil {
			readValue(t, kind, encoded[:n], within)
		}
		encoded = encoded[n:]
	}
}

func readValue(t reflect.Type, kind protowire.Type, value []byte, report func(reason)) {
	structType, message := messageOf(t)
	inner, _ := protowire.ConsumeBytes(value)
	switch {
	case message && kind == protowire.BytesType:
		readMessage(structType, inner, report)
	case isBytes(t) && kind == protowire.BytesType:
	case !message && !isBytes(t) && kind == protowire.VarintType:
	case !message && t.Kind() == reflect.Slice && kind == protowire.BytesType:
		for len(inner) > 0 {
			_, n := protowire.ConsumeVarint(inner)
			if n < 0 {
				reportError(n, report)
				report(badPacked)
				return
			}
			inner = inner[n:]
		}
	default:
		report(otherWireType)
	}
}

// reportError names a negative length that protowire returned; the numbers are those that its ParseError knows.
func reportError(n int, report func(reason)) {
	switch n {
	case -2:
		report(badNumber)
	case -3:
		report(longVarint)
	case -5, -6:
		report(badGroup)
	default:
		report(malformed)
	}
}

// fieldTypes returns the types of a struct's fields by number, and that of the field of SnapshotMetadata that is none of its
// struct.
func fieldTypes(structType reflect.Type) map[protowire.Number]reflect.Type {
	types := make(map[protowire.Number]reflect.Type)
	for structField := range structType.Fields() {
		if number, ok := numberOf(structField); ok {
			types[number] = structField.Type
		}
	}
	if structType == reflect.TypeFor[pb.SnapshotMetadata]() {
		types[ownFields] = reflect.TypeFor[*pb.SnapshotConf]()
	}
	return types
}
