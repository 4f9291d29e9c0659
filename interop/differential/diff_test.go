package differential

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// longRun is from how many steps on every rule has to have fired.
const longRun = 5_000_000

// For the same inputs ours does what theirs does, but for the intended
// differences; and an intended difference that never shows is none: its rule goes.
// DIFFERENTIAL_STEPS sets the number of steps, DIFFERENTIAL_SEED the first seed.
func TestDifferential(t *testing.T) {
	steps, seed := number(t, "DIFFERENTIAL_STEPS", 300_000), number(t, "DIFFERENTIAL_SEED", 1)
	res, err := Run(seed, steps)
	require.NoError(t, err)
	t.Logf("seed %d: %d runs, %d steps", seed, res.Runs, res.Steps)
	for name, n := range res.Fired {
		t.Logf("%10d %s", n, name)
		if steps >= longRun {
			require.NotZero(t, n, "rule %s", name)
		}
	}
}

func number(t *testing.T, name string, def uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// A seed is one run: else a difference that was found could not be looked into.
func TestSeedIsOneRun(t *testing.T) {
	one, err := Run(7, 5000)
	require.NoError(t, err)
	two, err := Run(7, 5000)
	require.NoError(t, err)
	require.Equal(t, one, two)
}

// Every rule has its row in docs/differences.md, and every row that names a rule
// names one that is there: users read the rows, the driver obeys the rules.
func TestEveryRuleIsARow(t *testing.T) {
	text, err := os.ReadFile("../../docs/differences.md")
	require.NoError(t, err)
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\|.*\\| `([a-z-]+)` \\|$").FindAllSubmatch(text, -1) {
		rows = append(rows, string(m[1]))
	}
	var names []string
	for _, r := range Rules() {
		require.NotEmpty(t, r.Bound, r.Name)
		names = append(names, r.Name)
	}
	require.ElementsMatch(t, names, rows)
}
