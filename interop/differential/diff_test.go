package differential

import (
	"os"
	"strconv"
	"testing"
)

func TestDifferential(t *testing.T) {
	steps := uint64(300_000)
	if s := os.Getenv("DIFFERENTIAL_STEPS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		steps = n
	}
	res, err := Run(1, steps)
	t.Logf("%+v", res)
	if err != nil {
		t.Fatal(err)
	}
}
