package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits, in bytes. They are part of what commands mean, and so the same on every
// server.
const (
	MaxKeySize   = 4 << 10
	MaxValueSize = 1 << 20
)

// commandVersion is the first byte of every command.
const commandVersion = 1

// operation is the second.
type operation uint8

const (
	opRegister operation = iota + 1
	opPut
	opDelete
	opCompareAndSet
	opNewMember
	opUseMember
	opRetireMembers
)

// RequestID identifies a request, so that it is applied once however often it is
// tried. A client registers for an ID and numbers its requests from 1 up, one at a
// time: the next is sent when the last has ended. Numbers may be left out. The
// zero RequestID is of nobody: such a request is applied each time.
type RequestID struct {
	Client, Number uint64
}

// condition says what a compare-and-set is compared with.
type condition uint8

const (
	ifAbsent condition = iota + 1
	ifValue
	ifRevision
)

// Condition is what a compare-and-set expects: IfAbsent, IfValue or IfRevision.
type Condition struct {
	kind     condition
	value    []byte
	revision uint64
}

// IfAbsent expects that there is no such key.
func IfAbsent() Condition { return Condition{kind: ifAbsent} }

// IfValue expects that the key has this value.
func IfValue(value []byte) Condition { return Condition{kind: ifValue, value: value} }

// IfRevision expects that the key was last written at this revision.
func IfRevision(revision uint64) Condition { return Condition{kind: ifRevision, revision: revision} }

// command is a decoded command. Its bytes are those of the encoded one.
type command struct {
	op         operation
	id         RequestID
	key, value []byte
	condition  Condition

	member, claim uint64 // an ID of a server, and whose it is
	bound         uint64 // another ID
}

// EncodeRegister returns the command that registers a client. Its Result.Revision is
// the client's ID. Tried again it registers another, and the first is forgotten in
// time.
func EncodeRegister() []byte { return []byte{commandVersion, byte(opRegister)} }

// EncodePut returns the command that sets key to value. The error is ErrKeySize,
// ErrValueSize or ErrRequestID.
func EncodePut(id RequestID, key, value []byte) ([]byte, error) {
	return (&command{op: opPut, id: id, key: key, value: value}).encode()
}

// EncodeDelete returns the command that removes key. Errors are as for EncodePut.
func EncodeDelete(id RequestID, key []byte) ([]byte, error) {
	return (&command{op: opDelete, id: id, key: key}).encode()
}

// EncodeCompareAndSet returns the command that sets key to value if the condition
// holds. Errors are as for EncodePut.
func EncodeCompareAndSet(id RequestID, key []byte, expected Condition, value []byte) ([]byte, error) {
	return (&command{op: opCompareAndSet, id: id, key: key, value: value, condition: expected}).encode()
}

// check says whether the command is within the limits.
func (c *command) check() error {
	switch c.op {
	case opRegister:
		return nil
	case opNewMember, opUseMember, opRetireMembers:
		return c.checkMember()
	}
	if (c.id.Client == 0) != (c.id.Number == 0) {
		return fmt.Errorf("%w: client %d, number %d", ErrRequestID, c.id.Client, c.id.Number)
	}
	if len(c.key) == 0 || len(c.key) > MaxKeySize {
		return fmt.Errorf("%w: this one has %d", ErrKeySize, len(c.key))
	}
	if n := max(len(c.value), len(c.condition.value)); n > MaxValueSize {
		return fmt.Errorf("%w: this one has %d", ErrValueSize, n)
	}
	if kind := c.condition.kind; c.op == opCompareAndSet && (kind < ifAbsent || kind > ifRevision) {
		return errors.New("store: a compare-and-set must have a Condition")
	}
	return nil
}

func (c *command) encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 2+6*binary.MaxVarintLen64+len(c.key)+len(c.value)+len(c.condition.value))
	b = append(b, commandVersion, byte(c.op))
	b = binary.AppendUvarint(b, c.id.Client)
	b = binary.AppendUvarint(b, c.id.Number)
	b = appendBytes(b, c.key)
	if c.op == opCompareAndSet {
		b = append(b, byte(c.condition.kind))
		switch c.condition.kind {
		case ifValue:
			b = appendBytes(b, c.condition.value)
		case ifRevision:
			b = binary.AppendUvarint(b, c.condition.revision)
		}
	}
	if c.op != opDelete {
		b = appendBytes(b, c.value)
	}
	return b, nil
}

// decode returns the command in data, or ErrMalformed.
func decode(data []byte) (c command, err error) {
	r := reader{b: data}
	if version := r.byte(); version != commandVersion && !r.failed {
		return c, fmt.Errorf("%w: version %d", ErrMalformed, version)
	}
	c.op = operation(r.byte())
	switch c.op {
	case opRegister:
	case opNewMember, opUseMember, opRetireMembers:
		for _, field := range c.memberFields() {
			*field = r.uvarint()
		}
	case opPut, opDelete, opCompareAndSet:
		c.id = RequestID{Client: r.uvarint(), Number: r.uvarint()}
		c.key = r.bytes()
		if c.op == opCompareAndSet {
			c.condition = r.condition()
		}
		if c.op != opDelete {
			c.value = r.bytes()
		}
	default:
		return c, fmt.Errorf("%w: operation %d", ErrMalformed, c.op)
	}
	if r.failed || len(r.b) > 0 {
		return c, fmt.Errorf("%w: operation %d does not end where its bytes do", ErrMalformed, c.op)
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return c, nil
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// reader takes bytes apart. Once something is missing, it has failed and returns
// zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.b)) {
		r.failed = true
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.failed = true
		return 0
	}
	r.take(uint64(n))
	return v
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }

func (r *reader) condition() Condition {
	c := Condition{kind: condition(r.byte())}
	switch c.kind {
	case ifValue:
		c.value = r.bytes()
	case ifRevision:
		c.revision = r.uvarint()
	}
	return c
}
