package differential

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"sort"
	"strings"
	"testing"
)

func TestSurvey(t *testing.T) {
	if os.Getenv("SURVEY") == "" {
		t.Skip()
	}
	digits := regexp.MustCompile(`[0-9]+`)
	count := map[string]int{}
	example := map[string]uint64{}
	var fired [len(ruleTable)]uint64
	fails := 0
	steps := 0
	for seed := uint64(1); seed < 4000 && fails < 400; seed++ {
		r := rand.New(rand.NewPCG(seed, 1))
		p := newPlan(r)
		ops := p.ops(r)
		n, err := play(seed, p, ops, &fired, false)
		steps += n
		if err != nil {
			fails++
			what := err.Error()
			if d, ok := err.(*Difference); ok {
				what = d.What
			}
			k := digits.ReplaceAllString(what, "N")
			count[k]++
			if _, ok := example[k]; !ok {
				example[k] = seed
			}
		}
	}
	var keys []string
	for k := range count {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return count[keys[i]] > count[keys[j]] })
	fmt.Println("steps", steps, "fails", fails)
	for i, k := range keys {
		fmt.Printf("%4d  %s (seed %d)\n", count[k], k[:min(len(k), 150)], example[k])
		if show := os.Getenv("SURVEY"); i < 3 && show == "1" || show != "1" && regexp.MustCompile(show).MatchString(k) {
			var un [len(ruleTable)]uint64
			_, err := runSeed(example[k], &un)
			lines := strings.Split(err.Error(), "\n")
			if len(lines) > 45 {
				lines = append(lines[:2], lines[len(lines)-43:]...)
			}
			fmt.Println(strings.Join(lines, "\n"))
		}
	}
	for i, n := range fired {
		fmt.Printf("%s=%d ", ruleTable[i].Name, n)
	}
	fmt.Println()
}
