package raft

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"go.uber.org/zap"
)

// dump writes all of the node's state, but for what it cannot change and what was
// logged.
func dump(rn *RawNode) string {
	var b strings.Builder
	dumpValue(&b, reflect.ValueOf(rn))
	return b.String()
}

func dumpValue(b *strings.Builder, v reflect.Value) {
	switch v.Type() {
	case reflect.TypeFor[*Config](), reflect.TypeFor[*zap.Logger](), reflect.TypeFor[Storage](), reflect.TypeFor[warned]():
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		dumpValue(b, v.Elem())
	case reflect.Struct:
		b.WriteString("{")
		for i := range v.NumField() {
			b.WriteString(v.Type().Field(i).Name + ":")
			dumpValue(b, v.Field(i))
			b.WriteString(" ")
		}
		b.WriteString("}\n")
	case reflect.Slice, reflect.Array:
		if v.Len() > 1000 && v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "[%d bytes]", v.Len()) // one by one they would take too long
			return
		}
		b.WriteString("[")
		for i := range v.Len() {
			dumpValue(b, v.Index(i))
			b.WriteString(" ")
		}
		b.WriteString("]")
	case reflect.Map:
		var parts []string
		for it := v.MapRange(); it.Next(); {
			var p strings.Builder
			dumpValue(&p, it.Key())
			dumpValue(&p, it.Value())
			parts = append(parts, p.String())
		}
		sort.Strings(parts)
		fmt.Fprint(b, parts)
	default:
		fmt.Fprint(b, v)
	}
}

// Dump is dump for the tests from outside of the package.
var Dump = dump
