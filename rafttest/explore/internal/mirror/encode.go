package mirror

import (
	"encoding/binary"
	"reflect"
	"slices"
	"unsafe"
)

// Append writes the value that p points to, which is a pointer to the type of the codec, to the end of b.
func (c *Codec) Append(b []byte, p unsafe.Pointer) []byte {
	w := writer{b: b}
	w.write(c.root, p)
	return w.b
}

// AppendRenamed writes the value as if the member i were names[i]; names is a permutation that leaves
// 0 as it is. What it writes is not for Read.
func (c *Codec) AppendRenamed(b []byte, p unsafe.Pointer, names []uint64) []byte {
	w := writer{b: b, names: names}
	w.write(c.root, p)
	return w.b
}

type writer struct {
	b     []byte
	names []uint64 // nil: as they are
	order []int    // in which elements beside the members go
	ids   []uint64
}

// sliceOf is what a slice is in memory.
type sliceOf struct {
	data unsafe.Pointer
	len  int
	cap  int
}

func (w *writer) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }

func (w *writer) write(n *node, p unsafe.Pointer) {
	if n.before != nil {
		n.before(p)
	}
	if w.names != nil && n.naming != plain {
		w.rename(n, p)
		return
	}
	switch n.kind {
	case reflect.Bool, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		w.uint(loadUint(p, n.size))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.uint(zigzag(loadInt(p, n.size)))
	case reflect.String:
		s := *(*string)(p)
		w.uint(uint64(len(s)))
		w.b = append(w.b, s...)
	case reflect.Pointer:
		q := *(*unsafe.Pointer)(p)
		if q == nil {
			w.uint(0)
			return
		}
		w.uint(1)
		w.write(n.elem, q)
	case reflect.Slice:
		s := (*sliceOf)(p)
		w.uint(uint64(s.len))
		if n.elem.kind == reflect.Uint8 {
			w.b = append(w.b, unsafe.Slice((*byte)(s.data), s.len)...)
			return
		}
		for i := range s.len {
			w.write(n.elem, unsafe.Add(s.data, uintptr(i)*n.elem.size))
		}
	case reflect.Array:
		for i := range n.count {
			w.write(n.elem, unsafe.Add(p, uintptr(i)*n.elem.size))
		}
	case reflect.Struct:
		for i := range n.fields {
			f := &n.fields[i]
			w.write(f.node, unsafe.Add(p, f.offset))
		}
	}
}

// rename writes a field that names members, or goes along with them.
func (w *writer) rename(n *node, p unsafe.Pointer) {
	if n.naming == ID {
		w.uint(w.names[*(*uint64)(p)])
		return
	}
	s := (*sliceOf)(p)
	w.uint(uint64(s.len))
	if n.naming == Beside {
		for _, i := range w.order[:s.len] {
			w.write(n.elem, unsafe.Add(s.data, uintptr(i)*n.elem.size))
		}
		return
	}
	if n.naming == Bag {
		w.bag(n, s)
		return
	}
	w.ids = w.ids[:0]
	for _, id := range unsafe.Slice((*uint64)(s.data), s.len) {
		w.ids = append(w.ids, w.names[id])
	}
	if n.naming == Members {
		w.order = w.order[:0]
		for i := range w.ids {
			w.order = append(w.order, i)
		}
		slices.SortFunc(w.order, func(a, b int) int { return int(w.ids[a]) - int(w.ids[b]) })
	}
	slices.Sort(w.ids)
	for _, id := range w.ids {
		w.uint(id)
	}
}

// bag writes elements in the order of their bytes.
func (w *writer) bag(n *node, s *sliceOf) {
	all := make([]string, 0, s.len)
	start := len(w.b)
	for i := range s.len {
		w.write(n.elem, unsafe.Add(s.data, uintptr(i)*n.elem.size))
		all = append(all, string(w.b[start:]))
		w.b = w.b[:start]
	}
	slices.Sort(all)
	for _, b := range all {
		w.b = append(w.b, b...)
	}
}
