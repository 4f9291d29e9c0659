package mirror

import (
	"math"
	"reflect"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

type leaf struct {
	a int8
	b uint16
	c bool
}

type tree struct {
	i   int64
	u   uint64
	s   string
	raw []byte
	arr [2]leaf
	ptr *leaf
	all []*leaf
	any any
	fn  func()

	id    uint64
	ids   []uint64
	who   []uint64
	score []int
	bag   []pair
}

type pair struct{ from, to uint64 }

var treeRules = Rules{
	Skip: map[string]string{"mirror.tree.any": "has no bytes", "mirror.tree.fn": "has no bytes"},
	Names: map[string]Naming{
		"mirror.tree.id": ID, "mirror.tree.ids": IDs, "mirror.tree.who": Members, "mirror.tree.score": Beside,
		"mirror.tree.bag": Bag, "mirror.pair.from": ID, "mirror.pair.to": ID,
	},
}

func some() *tree {
	return &tree{
		i: math.MinInt64, u: math.MaxUint64, s: "text", raw: []byte{0, 255}, arr: [2]leaf{{-128, 65535, true}, {}},
		ptr: &leaf{a: 127}, all: []*leaf{nil, {b: 1}},
		id: 2, ids: []uint64{3, 1}, who: []uint64{1, 2, 3}, score: []int{10, 20, -30}, bag: []pair{{1, 2}, {3, 1}},
	}
}

// What is read is what was written, unexported fields and all, and shares nothing with it.
func TestRoundTrip(t *testing.T) {
	c := New(tree{}, treeRules)
	for _, v := range []*tree{some(), {}} {
		b := c.Append([]byte("x"), unsafe.Pointer(v))
		var got tree
		require.NoError(t, c.Read(b[1:], unsafe.Pointer(&got)))
		require.Equal(t, v, &got)
		require.Equal(t, b[1:], c.Append(nil, unsafe.Pointer(&got)))
		if v.ptr != nil {
			got.ptr.a, got.raw[0], got.all[1].b = 1, 9, 9
			require.Equal(t, some(), v)
		}
	}
	skipped := some()
	skipped.any, skipped.fn = 1, func() {}
	require.Equal(t, c.Append(nil, unsafe.Pointer(some())), c.Append(nil, unsafe.Pointer(skipped)))
}

// Every field counts: with another value the bytes are others.
func TestEveryFieldCounts(t *testing.T) {
	c := New(tree{}, treeRules)
	seen := map[string]bool{string(c.Append(nil, unsafe.Pointer(some()))): true}
	for i, change := range []func(*tree){
		func(v *tree) { v.i++ }, func(v *tree) { v.u-- }, func(v *tree) { v.s = "texts" }, func(v *tree) { v.raw[1]-- },
		func(v *tree) { v.arr[1].c = true }, func(v *tree) { v.arr[0].a = 1 }, func(v *tree) { v.ptr = nil },
		func(v *tree) { v.all = v.all[:1] }, func(v *tree) { v.all[0] = &leaf{} }, func(v *tree) { v.id = 1 },
		func(v *tree) { v.score[2]++ },
	} {
		v := some()
		change(v)
		b := string(c.Append(nil, unsafe.Pointer(v)))
		require.False(t, seen[b], i)
		seen[b] = true
	}
}

// Renamed bytes are those of the value with other names: members in order, and what is beside them along with them.
func TestRenamed(t *testing.T) {
	c := New(tree{}, treeRules)
	names := []uint64{0, 3, 1, 2}
	v := some()
	v.id, v.ids, v.score, v.bag = 1, []uint64{3, 2}, []int{20, -30, 10}, []pair{{2, 3}, {3, 1}}
	require.Equal(t, c.AppendRenamed(nil, unsafe.Pointer(v), []uint64{0, 1, 2, 3}), c.AppendRenamed(nil, unsafe.Pointer(some()), names))
	v.bag[0], v.bag[1] = v.bag[1], v.bag[0]
	require.Equal(t, c.AppendRenamed(nil, unsafe.Pointer(v), []uint64{0, 1, 2, 3}), c.AppendRenamed(nil, unsafe.Pointer(some()), names))
	v.score[0]++
	require.NotEqual(t, c.AppendRenamed(nil, unsafe.Pointer(v), []uint64{0, 1, 2, 3}), c.AppendRenamed(nil, unsafe.Pointer(some()), names))
}

// Before may bring a value into the form in which it is written.
func TestBefore(t *testing.T) {
	rules := treeRules
	rules.Before = map[reflect.Type]func(unsafe.Pointer){
		reflect.TypeOf(leaf{}): func(p unsafe.Pointer) { (*leaf)(p).b = 7 },
	}
	v := some()
	New(tree{}, rules).Append(nil, unsafe.Pointer(v))
	require.EqualValues(t, 7, v.ptr.b)
}

// A field without bytes needs a rule, and a rule a field.
func TestRulesFit(t *testing.T) {
	require.PanicsWithValue(t, "mirror: interface {} has no bytes; a rule has to leave it out", func() { New(tree{}, Rules{}) })
	rules := Rules{Skip: map[string]string{"mirror.leaf.gone": ""}}
	require.PanicsWithValue(t, "mirror: there is no field mirror.leaf.gone", func() { New(leaf{}, rules) })
	rules = Rules{Names: map[string]Naming{"mirror.leaf.d": ID}}
	require.PanicsWithValue(t, "mirror: there is no field mirror.leaf.d", func() { New(leaf{}, rules) })
}

// Bytes that are cut short, go on, or say what cannot be are an error.
func FuzzRead(f *testing.F) {
	c := New(tree{}, treeRules)
	whole := c.Append(nil, unsafe.Pointer(some()))
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var v tree
		if err := c.Read(b, unsafe.Pointer(&v)); err != nil {
			return
		}
		var again tree
		require.NoError(t, c.Read(c.Append(nil, unsafe.Pointer(&v)), unsafe.Pointer(&again)))
		require.Equal(t, v, again)
	})
}

// Any part of the bytes alone is an error.
func TestCutShort(t *testing.T) {
	c := New(tree{}, treeRules)
	whole := c.Append(nil, unsafe.Pointer(some()))
	for n := range whole {
		var v tree
		require.Error(t, c.Read(whole[:n], unsafe.Pointer(&v)), n)
	}
	var v tree
	require.Error(t, c.Read(append(whole, 0), unsafe.Pointer(&v)))
	require.Error(t, New(leaf{}, Rules{}).Read([]byte{0, 0, 2}, unsafe.Pointer(&leaf{})), "a bool is 0 or 1")
	require.Error(t, New(leaf{}, Rules{}).Read([]byte{0, 0x80, 0x80, 4, 1}, unsafe.Pointer(&leaf{})), "65536 is no uint16")
}
