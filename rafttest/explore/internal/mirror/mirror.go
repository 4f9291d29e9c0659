// Package mirror writes the whole state of a Go value as bytes, unexported fields and all, and builds
// the value again from them. It goes by reflection, so that a field that is added to a type is part
// of its state from then on, unless a rule says that it is not.
//
// Values are trees: what several pointers lead to is written several times, and slices share no array
// after they were read. Maps, channels, functions and interfaces have no bytes; a rule has to leave
// them out.
package mirror

import (
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// Rules say what is special about fields and types.
type Rules struct {
	// Skip are fields that are not part of the state, by "package.Type.Field", with the reason. They are
	// zero in what is read.
	Skip map[string]string
	// Names says which fields name members of a group, for [Codec.AppendRenamed], and TypeNames of which types
	// all fields do.
	Names     map[string]Naming
	TypeNames map[reflect.Type]Naming
	// Before, if it has the type of a value, is called with a pointer to it before it is written.
	Before map[reflect.Type]func(p unsafe.Pointer)
}

// Naming says how a field names members.
type Naming uint8

const (
	plain Naming = iota
	// ID is the ID of a member, or 0.
	ID
	// IDs are those of members, in no particular order.
	IDs
	// Members are those of members, ascending; fields of Beside that follow go along with them.
	Members
	// Beside has an element for each of Members, in their order.
	Beside
	// Bag has elements that name members, in an order that means nothing.
	Bag
)

// A Codec writes and reads values of one type. It is safe for concurrent use.
type Codec struct {
	typ     reflect.Type
	root    *node
	numbers []string
}

// Numbers returns the fields of type uint64, or lists of that, which no rule says to name members, sorted. One that does
// name members would be told from others although they differ in names alone, or be taken for them although they do not.
func (c *Codec) Numbers() []string { return c.numbers }

// New makes a codec for the type of v. It panics if a field of it has no bytes and no rule, or if a rule is
// about nothing.
func New(v any, rules Rules) *Codec {
	m := maker{rules: rules, nodes: map[nodeKey]*node{}, used: map[string]bool{}}
	c := &Codec{typ: reflect.TypeOf(v)}
	c.root = m.make(c.typ, plain)
	for name := range rules.Skip {
		m.mustBeUsed(name)
	}
	for name := range rules.Names {
		m.mustBeUsed(name)
	}
	slices.Sort(m.numbers)
	c.numbers = slices.Compact(m.numbers)
	return c
}

// node says how a type is written and read.
type node struct {
	kind   reflect.Kind
	typ    reflect.Type
	size   uintptr
	naming Naming
	elem   *node
	fields []field // of a struct
	count  int     // of an array

	before func(unsafe.Pointer)
}

type field struct {
	offset uintptr
	node   *node
}

type nodeKey struct {
	typ    reflect.Type
	naming Naming
}

type maker struct {
	rules Rules
	nodes map[nodeKey]*node
	used  map[string]bool

	numbers []string
}

func (m *maker) mustBeUsed(name string) {
	if !m.used[name] {
		panic(fmt.Sprintf("mirror: there is no field %s", name))
	}
}

func (m *maker) make(t reflect.Type, naming Naming) *node {
	if naming == plain {
		naming = m.rules.TypeNames[t]
	}
	key := nodeKey{t, naming}
	if n := m.nodes[key]; n != nil {
		return n
	}
	n := &node{
		kind: t.Kind(), typ: t, size: t.Size(), naming: naming,
		before: m.rules.Before[t],
	}
	m.nodes[key] = n
	switch n.kind {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.String:
	case reflect.Pointer, reflect.Slice:
		n.elem = m.make(t.Elem(), plain)
	case reflect.Array:
		n.elem, n.count = m.make(t.Elem(), plain), t.Len()
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name := t.String() + "." + f.Name
			m.used[name] = true
			if _, skip := m.rules.Skip[name]; skip {
				continue
			}
			if m.rules.Names[name] == plain && m.isNumber(f.Type) {
				m.numbers = append(m.numbers, name)
			}
			n.fields = append(n.fields, field{f.Offset, m.make(f.Type, m.rules.Names[name])})
		}
	default:
		panic(fmt.Sprintf("mirror: %v has no bytes; a rule has to leave it out", t))
	}
	return n
}

// isNumber reports whether t is uint64 or a list of that, and no type whose values all name members.
func (m *maker) isNumber(t reflect.Type) bool {
	for m.rules.TypeNames[t] == plain && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		t = t.Elem()
	}
	return m.rules.TypeNames[t] == plain && t.Kind() == reflect.Uint64
}

// zigzag has small bytes for small numbers of either sign.
func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// loadUint reads an unsigned integer of the given size.
func loadUint(p unsafe.Pointer, size uintptr) uint64 {
	switch size {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		return uint64(*(*uint32)(p))
	}
	return *(*uint64)(p)
}

// loadInt reads a signed integer of the given size.
func loadInt(p unsafe.Pointer, size uintptr) int64 {
	shift := 64 - 8*int(size)
	return int64(loadUint(p, size)<<shift) >> shift
}

func storeUint(p unsafe.Pointer, size uintptr, v uint64) {
	switch size {
	case 1:
		*(*uint8)(p) = uint8(v)
	case 2:
		*(*uint16)(p) = uint16(v)
	case 4:
		*(*uint32)(p) = uint32(v)
	default:
		*(*uint64)(p) = v
	}
}
