package browsertest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// startDemo builds raftkv, starts its demo, and returns the address of the page. At the
// end of the test the demo is interrupted, and has to have gone well.
func startDemo(t *testing.T) (address string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "raftkv")
	build := exec.Command("go", "build", "-o", binary, "./cmd/raftkv")
	build.Dir = "../.." // its own module
	build.Env = append(os.Environ(), "GOWORK=off")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)

	run := exec.Command(binary, "demo", "--keys", "3000", "--open-for", "2m")
	stdout, err := run.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	run.Stderr = &stderr
	require.NoError(t, run.Start())
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "the first line")
	found := regexp.MustCompile(`http://\S+`).FindString(lines.Text())
	require.NotEmpty(t, found, lines.Text())
	said := make(chan string)
	go func() {
		text := ""
		for lines.Scan() {
			text += lines.Text() + "\n"
		}
		said <- text
	}()
	t.Cleanup(func() {
		_ = run.Process.Signal(os.Interrupt)
		text := <-said
		require.NoError(t, run.Wait(), "%s%s", text, stderr.String())
	})
	return found
}

// leader is an expression for the number of the leader's term, 0 if there is no leader.
const leader = `(() => { const e = document.querySelector('#servers .leader [data-part=term]'); return e ? Number(e.textContent.replaceAll(',', '')) : 0; })()`

func server(id int) string {
	return fmt.Sprintf(`document.querySelector('#servers [data-key="%d"]')`, id)
}

func (p *tab) text(selector string) string {
	p.Helper()
	return evaluate[string](p, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// The page shows what happens while it happens: who leads in which term and that it died,
// how far each peer is, who votes, and how much is done. It says when all is over, and what
// came of it. It logs nothing and asks for nothing but the state of the demo.
func TestPageFollowsTheDemo(t *testing.T) {
	browser := requireBrowser(t)
	p := open(t, browser, startDemo(t))

	p.until(leader + ` > 0`)
	p.until(`document.querySelectorAll('#servers li').length === 3`)
	p.until(`document.querySelectorAll('#peers tr').length === 3`)
	require.Contains(t, p.text("#sets"), "Voters")
	p.until(`document.querySelector('#chart path.writes').getAttribute('d').length > 60`)
	p.until(`/Writes [1-9]/.test(document.querySelector('#writes').textContent)`)
	p.until(`document.querySelector('[data-part=loading]:not([hidden])') !== null || document.querySelectorAll('#steps li').length > 3`)
	term := evaluate[int](p, leader)
	commit := evaluate[string](p, `document.querySelector('#servers .leader [data-part=commit]').textContent`)
	p.screenshot("loading-light")

	p.until(`document.querySelector('#servers .dead') !== null`)
	p.until(fmt.Sprintf(`%s > %d`, leader, term))
	require.NotEqual(t, commit, evaluate[string](p, `document.querySelector('#servers .leader [data-part=commit]').textContent`))
	p.screenshot("killed-light")
	p.until(`document.querySelector('#servers .dead') === null`)

	p.until(server(4) + `?.className === 'learner'`)
	p.until(`['follower', 'leader'].includes(` + server(4) + `.className)`)
	p.until(server(5) + ` !== null`)
	p.until(`document.querySelector('#servers').innerText.includes('removed')`)
	require.Regexp(t, `Voters\s+\d\s+\d\s+\d\s+5`, p.text("#sets"))

	p.until(`!document.querySelector('#summary').hidden`)
	require.Contains(t, p.text("#now"), "nothing was lost")
	require.Regexp(t, `Lost\s+0\n`, p.text("#figures"))
	require.Regexp(t, `Linearizable\s+yes`, p.text("#figures"))
	require.Equal(t, 11, evaluate[int](p, `document.querySelectorAll('#steps .done').length`))
	p.checkPictures()
	p.checkReaders()
}

// checkPictures looks at the page in both colour schemes, and sees that nothing sticks out
// of a narrow screen.
func (p *tab) checkPictures() {
	p.Helper()
	background := "getComputedStyle(document.body).backgroundColor"
	light := evaluate[string](p, background)
	p.screenshot("done-light")
	p.scheme("dark")
	require.NotEqual(p, light, evaluate[string](p, background))
	p.screenshot("done-dark")
	p.do(chromedp.EmulateViewport(360, 740))
	require.LessOrEqual(p, evaluate[int](p, "document.documentElement.scrollWidth"), 360)
	p.screenshot("done-narrow-dark")
	p.scheme("light")
	p.screenshot("done-narrow-light")
}

// checkReaders sees to what those need who do not see the page, or have no pointer.
func (p *tab) checkReaders() {
	p.Helper()
	require.Equal(p, "polite", evaluate[string](p, "document.querySelector('#now').getAttribute('aria-live')"))
	require.Empty(p, evaluate[[]string](p, `[...document.querySelectorAll('section')]
		.filter(s => !document.getElementById(s.getAttribute('aria-labelledby'))).map(s => s.outerHTML)`), "sections without a name")
	p.do(chromedp.KeyEvent(kb.Tab))
	require.Equal(p, "configurations", evaluate[string](p, "document.activeElement.id"), "what scrolls can be reached")
	// Elements are kept when the page is brought up to date, so that a reader's place is too.
	require.True(p, evaluate[bool](p, `(async () => {
		const before = [...document.querySelectorAll('#servers li, #peers tr, #steps li')];
		await new Promise(done => setTimeout(done, 700));
		return before.every((e, i) => e === document.querySelectorAll('#servers li, #peers tr, #steps li')[i]);
	})()`))
}
