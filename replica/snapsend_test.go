package replica

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// A state that ends with an error is not taken for a whole one, whichever the error
// is: not with io.EOF either, which ends a body.
func TestPipedEOF(t *testing.T) {
	for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe} {
		body, release, err := piped(func(w io.Writer) error {
			_, err := w.Write([]byte("part"))
			require.NoError(t, err)
			return cause
		}, func() {})
		require.NoError(t, err)
		part, err := io.ReadAll(body)
		require.Error(t, err, "%v", cause)
		require.Equal(t, "part", string(part))
		release()
	}
}
