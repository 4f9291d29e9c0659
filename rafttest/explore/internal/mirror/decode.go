package mirror

import (
	"encoding/binary"
	"errors"
	"reflect"
	"unsafe"
)

var errShort = errors.New("mirror: the bytes end within a value")

// Read builds in the zero value that p points to the one that b was written from. It fails if b is not all of such
// bytes.
func (c *Codec) Read(b []byte, p unsafe.Pointer) error {
	r := reader{b: b}
	r.read(c.root, p)
	if r.err == nil && len(r.b) > 0 {
		return errors.New("mirror: bytes are left over")
	}
	return r.err
}

type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) read(n *node, p unsafe.Pointer) {
	switch n.kind {
	case reflect.Bool, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v := r.uint()
		if n.size < 8 && v>>(8*n.size) != 0 || n.kind == reflect.Bool && v > 1 {
			r.fail(errors.New("mirror: a number is too large for its field"))
			return
		}
		storeUint(p, n.size, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		storeUint(p, n.size, uint64(unzigzag(r.uint())))
	case reflect.String:
		*(*string)(p) = string(r.bytes(r.uint()))
	case reflect.Pointer:
		if r.uint() != 0 {
			q := reflect.New(n.elem.typ)
			r.read(n.elem, q.UnsafePointer())
			*(*unsafe.Pointer)(p) = q.UnsafePointer()
		}
	case reflect.Slice:
		r.slice(n, p)
	case reflect.Array:
		for i := range n.count {
			r.read(n.elem, unsafe.Add(p, uintptr(i)*n.elem.size))
		}
	case reflect.Struct:
		for i := range n.fields {
			f := &n.fields[i]
			r.read(f.node, unsafe.Add(p, f.offset))
		}
	}
}

func (r *reader) slice(n *node, p unsafe.Pointer) {
	count := r.uint()
	if count == 0 {
		return // nil and empty mean the same
	}
	if count > uint64(len(r.b)) {
		r.fail(errShort)
		return
	}
	s := reflect.MakeSlice(n.typ, int(count), int(count))
	data := s.UnsafePointer()
	*(*sliceOf)(p) = sliceOf{data, int(count), int(count)}
	if n.elem.kind == reflect.Uint8 {
		copy(unsafe.Slice((*byte)(data), count), r.bytes(count))
		return
	}
	for i := range int(count) {
		r.read(n.elem, unsafe.Add(data, uintptr(i)*n.elem.size))
	}
}
