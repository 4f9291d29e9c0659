package wire

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// ownFields is the first number of the fields that only we have.
	ownFields protowire.Number = 100
	// responses is the number of the field of Message that only etcd has.
	responses protowire.Number = 14
)

// numberOf returns the number of a struct's field, and false for what is no field of the message.
func numberOf(field reflect.StructField) (protowire.Number, bool) {
	tag := field.Tag.Get("protobuf")
	if tag == "" || !field.IsExported() {
		return 0, false
	}
	number, err := strconv.Atoi(strings.Split(tag, ",")[1])
	if err != nil {
		panic(fmt.Sprintf("%s has the tag %q", field.Name, tag))
	}
	return protowire.Number(number), true
}

// isBytes reports whether values of the type are bytes and not a repeated field.
func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// messageOf returns the struct of a field that holds messages, whether one or many, by value or by pointer.
func messageOf(t reflect.Type) (reflect.Type, bool) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct
}

// Differ returns the path of the first field in which two records differ, ours or the peer's, with both values;
// "" if they are the same. Fields go by their names in Go, since that is how a program reads them; fields that only
// one side has are left out. Nil and empty bytes are the same, so are an absent scalar and a zero, and no message
// where the other side cannot tell it from an empty one.
func Differ(one, two any) string {
	return differ("", reflect.ValueOf(one).Elem(), reflect.ValueOf(two).Elem())
}

func differ(path string, one, two reflect.Value) string {
	fields := make(map[string]int)
	for i := range two.NumField() {
		if _, ok := numberOf(two.Type().Field(i)); ok {
			fields[strings.ToLower(two.Type().Field(i).Name)] = i
		}
	}
	for i := range one.NumField() {
		field := one.Type().Field(i)
		if _, ok := numberOf(field); !ok {
			continue
		}
		other, both := fields[strings.ToLower(field.Name)]
		if !both {
			continue
		}
		if found := differInField(path+"."+field.Name, one.Field(i), two.Field(other)); found != "" {
			return found
		}
	}
	return ""
}

func differInField(path string, one, two reflect.Value) string {
	_, message := messageOf(one.Type())
	switch {
	case isBytes(one.Type()):
		if string(one.Bytes()) != string(two.Bytes()) {
			return fmt.Sprintf("%s: %x and %x", path, one.Bytes(), two.Bytes())
		}
	case one.Kind() == reflect.Slice:
		if one.Len() != two.Len() {
			return fmt.Sprintf("%s: %d and %d elements", path, one.Len(), two.Len())
		}
		for i := range one.Len() {
			if found := differInField(fmt.Sprintf("%s[%d]", path, i), one.Index(i), two.Index(i)); found != "" {
				return found
			}
		}
	case message:
		if one.Kind() == reflect.Pointer && two.Kind() == reflect.Pointer && one.IsNil() != two.IsNil() {
			return fmt.Sprintf("%s: present %t and %t", path, !one.IsNil(), !two.IsNil())
		}
		return differ(path, valueOrZero(one), valueOrZero(two))
	default:
		if x, y := scalar(one), scalar(two); x != y {
			return fmt.Sprintf("%s: %d and %d", path, x, y)
		}
	}
	return ""
}

func valueOrZero(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		return reflect.Zero(v.Type().Elem())
	}
	return v.Elem()
}

func scalar(v reflect.Value) uint64 {
	v = valueOrZero(v)
	switch {
	case v.Kind() == reflect.Bool && v.Bool():
		return 1
	case v.Kind() == reflect.Bool:
		return 0
	case v.CanInt():
		return uint64(v.Int())
	default:
		return v.Uint()
	}
}

// clear sets every field of a record to zero whose number the function names, in the messages within it too.
func clearFields(record any, named func(message string, number protowire.Number) bool) {
	walk(reflect.ValueOf(record).Elem(), func(structType reflect.Type, field reflect.StructField, v reflect.Value) {
		if number, _ := numberOf(field); named(structType.Name(), number) {
			v.SetZero()
		}
	})
}

func isOwn(_ string, number protowire.Number) bool { return number >= ownFields }

func isResponses(message string, number protowire.Number) bool {
	return message == "Message" && number == responses
}

// canonical brings a record into the form in which everything that means the same is the same: no empty bytes, no
// pointers to zero, and the messages that our structs hold by value present.
func canonical(record any) {
	walk(reflect.ValueOf(record).Elem(), func(structType reflect.Type, field reflect.StructField, v reflect.Value) {
		_, message := messageOf(v.Type())
		switch {
		case v.Kind() == reflect.Slice && v.Len() == 0:
			v.SetZero()
		case v.Kind() != reflect.Pointer:
		case !message && !v.IsNil() && v.Elem().IsZero():
			v.SetZero()
		case message && v.IsNil() && field.Name != "Snapshot":
			v.Set(reflect.New(v.Type().Elem()))
		}
	})
}

// walk calls visit for every field of a struct, and then, as visit left them, of the messages within.
func walk(v reflect.Value, visit func(reflect.Type, reflect.StructField, reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if _, ok := numberOf(field); !ok {
			continue
		}
		visit(v.Type(), field, v.Field(i))
		if _, message := messageOf(field.Type); !message {
			continue
		}
		if field.Type.Kind() != reflect.Slice {
			if field.Type.Kind() != reflect.Pointer || !v.Field(i).IsNil() {
				walk(reflect.Indirect(v.Field(i)), visit)
			}
			continue
		}
		for j := range v.Field(i).Len() {
			walk(reflect.Indirect(v.Field(i).Index(j)), visit)
		}
	}
}
