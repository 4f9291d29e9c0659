package api

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// Bytes survive JSON whatever they are, and what is text stays readable.
func TestText(t *testing.T) {
	for _, c := range []struct {
		text Text
		json string
	}{
		{nil, `null`},
		{Text{}, `""`},
		{Text("colour <b>"), `"colour <b>"`},
		{Text("Zoë\x00\"\n"), `"Zoë\u0000\"\n"`},
		{Text{0xff, 0x00}, `{"base64":"/wA="}`},
		{Text("\u2028 cut \xe2\x82"), `{"base64":"4oCoIGN1dCDigg=="}`},
	} {
		encoded, err := c.text.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, c.json, string(encoded))
		decoded := Text("before")
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.Equal(t, c.text, decoded)
	}
	for _, bad := range []string{`1`, `true`, `[]`, `{}`, `{"base64":1}`, `{"base64":"?"}`, `{"base32":""}`, `{"base64":"","x":""}`} {
		var decoded Text
		require.Error(t, json.Unmarshal([]byte(bad), &decoded), bad)
	}
}

// Every code has a status of its own kind: a caller that looks at nothing else knows
// whether the request is at fault, or the moment.
func TestCodesHaveStatuses(t *testing.T) {
	for _, code := range []Code{CodeBadRequest, CodeTooLarge, CodeNotFound, CodeMismatch, CodeRefused,
		CodeCompacted, CodeUnknownClient, CodeSuperseded, CodeWrongCluster} {
		require.Equal(t, 4, code.Status()/100, code)
	}
	for _, code := range []Code{CodeUnavailable, CodeAmbiguous, CodeInternal} {
		require.Equal(t, 5, code.Status()/100, code)
	}
}

// That a value is expected to be empty is not the same as that none is expected.
func TestExpectEmptyValue(t *testing.T) {
	for _, e := range []Expect{{Value: Text{}}, {Absent: true}, {Revision: 3}} {
		encoded, err := json.Marshal(e)
		require.NoError(t, err)
		var decoded Expect
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.Equal(t, e, decoded)
	}
}
