package core

import "fmt"

func codecs[M any]() map[string]maker[M] {
	return map[string]maker[M]{
		"marshal/1":    marshal[M](1),
		"marshal/64":   marshal[M](64),
		"unmarshal/1":  unmarshal[M](1),
		"unmarshal/64": unmarshal[M](64),
	}
}

// marshal appends the bytes of a message of size entries of 128 bytes to a buffer that is large enough.
func marshal[M any](size int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		m := lib.Append(1000, size, make([]byte, 128))
		buf := make([]byte, 0, 256*size+256)
		var b []byte
		return &Work{
			Max: 1 << 20,
			Run: func(n int) (err error) {
				for range n {
					if b, err = lib.Marshal(buf, &m); err != nil {
						return err
					}
				}
				return nil
			},
			End: func(int) error {
				if len(b) < 128*size {
					return fmt.Errorf("only %d bytes", len(b))
				}
				return nil
			},
		}, nil
	}
}

// unmarshal reads such a message into an empty one.
func unmarshal[M any](size int) maker[M] {
	return func(lib Library[M]) (*Work, error) {
		m := lib.Append(1000, size, make([]byte, 128))
		b, err := lib.Marshal(nil, &m)
		if err != nil {
			return nil, err
		}
		var into M
		return &Work{
			Max: 1 << 20,
			Run: func(n int) error {
				for range n {
					var zero M
					into = zero
					if err := lib.Unmarshal(b, &into); err != nil {
						return err
					}
				}
				return nil
			},
			End: func(int) error {
				again, err := lib.Marshal(nil, &into)
				if err != nil || string(again) != string(b) {
					return fmt.Errorf("it is not what was marshalled: %w", err)
				}
				return nil
			},
		}, nil
	}
}
