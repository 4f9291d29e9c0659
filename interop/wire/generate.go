package wire

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"

	pb "github.com/quorate-raft/raft/raftpb"
)

// Generator makes random records, ours and the peer's alike. The same seed makes the same records.
type Generator struct {
	*rand.Rand
	// large bounds bytes, many the elements of a repeated field.
	large, many int
	// deep bounds how deep in records messages nest that may nest in themselves.
	deep int
	// bare leaves out the fields that only we have.
	bare bool
}

// NewGenerator returns a generator of records of all sizes.
func NewGenerator(seed uint64) *Generator {
	return &Generator{Rand: rand.New(rand.NewPCG(seed, 0)), large: 70_000, many: 300, deep: 4}
}

// values are those at which an encoding or a program changes its mind.
var values = []uint64{
	0, 1, 2, 127, 128, 1<<14 - 1, 1 << 14, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1,
}

// enums has the number of values of each enum, which are numbered from 0.
var enums = map[string]int{
	"EntryType":            len(pb.EntryType_name),
	"MessageType":          len(pb.MessageType_name),
	"ConfChangeType":       len(pb.ConfChangeType_name),
	"ConfChangeTransition": len(pb.ConfChangeTransition_name),
	"ConfChangeEffect":     len(pb.ConfChangeEffect_name),
	"MembershipResult":     len(pb.MembershipResult_name),
	"MembershipReason":     len(pb.MembershipReason_name),
}

// Fill gives every field of the record a value. Some records get nothing but zeros, some a value in each field, most
// a mixture.
func (g *Generator) Fill(record any) {
	full := [...]float64{0, 0.2, 0.6, 0.6, 0.9, 1}[g.IntN(6)]
	g.fillStruct(reflect.ValueOf(record).Elem(), full, 0)
}

func (g *Generator) fillStruct(v reflect.Value, full float64, depth int) {
	for i := range v.NumField() {
		number, ok := numberOf(v.Type().Field(i))
		switch {
		case !ok || g.bare && number >= ownFields:
		case g.Float64() < full:
			g.fill(v.Field(i), full, depth)
		default:
			g.fillZero(v.Field(i))
		}
	}
}

// fillZero leaves a field unset or sets it to what is easily taken for unset: empty bytes, a pointer to zero.
func (g *Generator) fillZero(v reflect.Value) {
	v.SetZero()
	switch {
	case g.IntN(2) == 0:
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	}
}

func (g *Generator) fill(v reflect.Value, full float64, depth int) {
	switch kind := v.Kind(); {
	case isBytes(v.Type()):
		v.SetBytes(g.bytes())
	case kind == reflect.Slice:
		n := g.length(depth)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			g.fill(v.Index(i), full, depth+1)
		}
	case kind == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		g.fill(v.Elem(), full, depth)
	case kind == reflect.Struct:
		// Etcd's Message nests in itself.
		if v.Type().Name() != "Message" || depth < g.deep {
			g.fillStruct(v, full, depth+1)
		}
	case kind == reflect.Bool:
		v.SetBool(true)
	case kind == reflect.Int32:
		v.SetInt(int64(g.enum(v.Type().Name())))
	case kind == reflect.Uint64:
		v.SetUint(g.uint64())
	default:
		panic(fmt.Sprintf("the generator cannot make a %v", v.Type()))
	}
}

func (g *Generator) uint64() uint64 {
	if g.IntN(3) == 0 {
		return g.Uint64()
	}
	return values[g.IntN(len(values))]
}

// enum returns a declared value, or sometimes one that a later version may declare or nobody would.
func (g *Generator) enum(name string) int32 {
	declared, ok := enums[name]
	if !ok {
		panic("the generator does not know the enum " + name)
	}
	if g.IntN(10) == 0 {
		unknown := []int32{int32(declared), 127, 128, math.MaxInt32, -1, math.MinInt32}
		return unknown[g.IntN(len(unknown))]
	}
	return int32(g.IntN(declared))
}

func (g *Generator) bytes() []byte {
	n := 1 + g.IntN(min(20, g.large))
	if g.IntN(150) == 0 {
		n = 1 + g.IntN(g.large)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g *Generator) length(depth int) int {
	n := 1 + g.IntN(min(4, g.many))
	if depth == 0 && g.IntN(40) == 0 {
		n = 1 + g.IntN(g.many)
	}
	return n
}

// setType gives a Message of the peer's a type.
func setType(message any, messageType int32) {
	v := reflect.ValueOf(message).Elem().FieldByName("Type")
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	v.SetInt(int64(messageType))
}
