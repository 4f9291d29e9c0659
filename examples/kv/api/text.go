package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// Text is the bytes of a key or a value. As JSON it is a string if the bytes are UTF-8,
// which is what they mostly are and what people can read; else it is
// {"base64": "..."}. Nil is null.
type Text []byte

type encodedText struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if t == nil {
		return []byte("null"), nil
	}
	if !utf8.Valid(t) {
		return json.Marshal(encodedText{Base64: t})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(string(t))
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); bytes.Equal(data, []byte("null")) {
		*t = nil
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = Text(s)
		return nil
	}
	var e map[string]string
	if err := json.Unmarshal(data, &e); err != nil || len(e) != 1 {
		return errText
	}
	encoded, ok := e["base64"]
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return errText
	}
	*t = decoded
	return nil
}

var errText = errors.New(`bytes must be a string, or {"base64": "..."}`)

// String returns the bytes as they are.
func (t Text) String() string { return string(t) }
