package client

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every fault of a config is reported at once, with what it is about.
func TestValidate(t *testing.T) {
	t.Parallel()
	bad := Config{
		Endpoints: []string{"http://ok:1", "ftp://host", "http://", "http://u:secret@host", "http://host?x", "http://host#x", "http://[::1", ""},
		TLS:       &tls.Config{},
		Timeout:   -time.Second,
	}
	_, err := New(bad)
	require.ErrorIs(t, err, ErrInvalidConfig)
	for _, part := range []string{
		`Endpoints[0] ("http://ok:1") must be https`,
		`Endpoints[1] ("ftp://host") must be http or https`,
		`Endpoints[2] ("http://") must have a host`,
		`Endpoints[3] ("http://u:xxxxx@host") must have no user, query or fragment`,
		`Endpoints[4] ("http://host?x") must have no user, query or fragment`,
		`Endpoints[5] ("http://host#x") must have no user, query or fragment`,
		`Endpoints[6] ("http://[::1") is not a URL`,
		`Endpoints[7] ("") must have a host`,
		`Timeout (-1s) must not be negative`,
	} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "secret")
	_, err = New(Config{})
	require.ErrorContains(t, err, "Endpoints must name a server")
}

// An endpoint without a scheme is http, and a path in front is kept.
func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	for text, base := range map[string]string{
		"host:8000":              "http://host:8000",
		"host":                   "http://host",
		"[::1]:8000":             "http://[::1]:8000",
		"http://host:8000/":      "http://host:8000",
		"https://host/kv/":       "https://host/kv",
		"HTTP://127.0.0.1:80//":  "http://127.0.0.1:80",
		"localhost:8000/cluster": "http://localhost:8000/cluster",
	} {
		e, err := parseEndpoint(text)
		require.NoError(t, err, text)
		require.Equal(t, base, e.base, text)
	}
}

// Defaults are filled in on a copy.
func TestDefaults(t *testing.T) {
	t.Parallel()
	config := Config{Endpoints: []string{"https://host"}, TLS: &tls.Config{ServerName: "other"}}
	filled := config.withDefaults()
	require.Equal(t, 7*time.Second, filled.Timeout)
	require.Zero(t, config.Timeout)
	require.NotSame(t, config.TLS, filled.TLS)
	require.Equal(t, "other", filled.TLS.ServerName)
	require.Nil(t, (Config{}).withDefaults().TLS)
}
