package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Output is where a comparison's results go: files by the comparison's name in a directory, and its block of a page.
type Output struct {
	Name, Dir, Page string
}

// Save writes what the tables and the chart are made from.
func (o Output) Save(record any) error {
	b, err := json.MarshalIndent(record, "", "")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(o.file("json"), append(b, '\n'), 0o644)
}

// Load reads what Save wrote.
func (o Output) Load(record any) error {
	b, err := os.ReadFile(o.file("json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, record)
}

// Render writes tables below a heading to a file of their own, and without it into the page; and the chart.
func (o Output) Render(heading, tables string, chart []byte) error {
	return o.RenderBlocks(heading+"\n\n"+tables, map[string]string{"": tables}, chart)
}

// RenderBlocks writes text to a file of its own, blocks into the page, each where the comparison's name and its key say,
// and the chart.
func (o Output) RenderBlocks(text string, blocks map[string]string, chart []byte) error {
	b, err := os.ReadFile(o.Page)
	if err != nil {
		return err
	}
	page := string(b)
	for key, block := range blocks {
		if page, err = Splice(page, o.Name+key, block); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{o.file("md"): text, o.file("svg"): string(chart), o.Page: page} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (o Output) file(extension string) string { return filepath.Join(o.Dir, o.Name+"."+extension) }

// Splice puts block between the lines "<!-- begin NAME -->" and "<!-- end NAME -->" of a page.
func Splice(page, name, block string) (string, error) {
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
	i := strings.Index(page, begin)
	j := strings.Index(page, end)
	if i < 0 || j < i {
		return "", fmt.Errorf("the page has no place for %q", name)
	}
	return page[:i+len(begin)] + block + page[j:], nil
}

// Machine describes the processor, as far as it can be known.
func Machine() string {
	model := runtime.GOARCH
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer func() { _ = f.Close() }()
		for scan := bufio.NewScanner(f); scan.Scan(); {
			if name, value, ok := strings.Cut(scan.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s with %d processors, %s/%s", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
}
