package report

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"io"
	"math"
	"slices"

	"github.com/quorate-raft/raft/bench/core"
)

// A panel, in pixels: its title above the plot, the scale left of it, and the names of its lines right of it, in pixels.
const (
	panelWidth  = 500
	panelHeight = 276
	panelTop    = 62
	plotLeft    = 64
	plotRight   = 352
	plotTop     = 34
	plotBottom  = 226
	columns     = 2
)

const panelStyle = `text{font:11px "Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;fill:#1a1e24}
.bg{fill:#fff}.head{font-size:14px;font-weight:bold}.title{font-size:12px;font-weight:bold}.tick{fill:#5c6672}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:#d5dae0}.axis{stroke:#98a1ab;fill:none}.line{fill:none;stroke-width:1.8}.guide{stroke:#98a1ab;stroke-width:1;stroke-dasharray:1 3;fill:none}
.ours{stroke:#0072b2}.peer{stroke:#b56c00}.ours-mark{fill:#0072b2}.peer-mark{fill:#b56c00}
@media (prefers-color-scheme:dark){text{fill:#e8ebef}.bg{fill:#12151a}.tick{fill:#98a1ab}.grid{stroke:#2c333c}.axis,.guide{stroke:#5c6672}
.ours{stroke:#56b4e9}.peer{stroke:#f0a030}.ours-mark{fill:#56b4e9}.peer-mark{fill:#f0a030}}
`

// dashes tell the lines of a panel apart, beside their names.
var dashes = []string{"none", "7 3", "2 3", "9 3 2 3", "4 2"}

// Curves returns a drawing, as SVG, with a panel for each curve: both scales are logarithmic.
func Curves(title string, curves []Curve) []byte {
	var b bytes.Buffer
	rows := (len(curves) + columns - 1) / columns
	width, height := columns*panelWidth, panelTop+rows*panelHeight+8
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>\n%s</style>\n", html.EscapeString(title), panelStyle)
	fmt.Fprintf(&b, `<rect class="bg" width="%d" height="%d"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="head" x="14" y="24">%s</text>`+"\n", html.EscapeString(title))
	mark(&b, Ours, 20, 42)
	mark(&b, Etcd36, 80, 42)
	b.WriteString(`<text x="30" y="46">ours</text><text x="90" y="46">etcd 3.6</text>` + "\n")
	b.WriteString(`<path class="guide" d="M160 42h30"/><text x="196" y="46">as fast as the quantity</text>` + "\n")
	for i, c := range curves {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%columns*panelWidth, panelTop+i/columns*panelHeight)
		p := panel{out: &b, Curve: c}
		p.draw()
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// classOf is the class of a library's lines.
func classOf(lib string) string {
	if lib == Ours {
		return "ours"
	}
	return "peer"
}

// mark draws a point of a library: a disc, or a square for the peer.
func mark(b io.Writer, lib string, x, y float64) {
	if lib == Ours {
		fmt.Fprintf(b, `<circle class="ours-mark" cx="%.1f" cy="%.1f" r="3.5"/>`, x, y)
		return
	}
	fmt.Fprintf(b, `<rect class="peer-mark" x="%.1f" y="%.1f" width="6" height="6"/>`, x-3, y-3)
}

// panel draws one curve. left and right are the ends of its scale, low and high those of the other, as powers of ten.
type panel struct {
	Curve
	out                    io.Writer
	left, right, low, high float64
	labels                 []label
}

// label names a line at its end, in the colour of its library.
type label struct {
	text, lib string
	y         float64
}

// stroke is one line of a panel.
type stroke struct {
	name, lib string
	dash      string
	values    []float64
}

// strokes are the lines that there are: one that ends below a nanosecond, or a byte, is nothing to draw.
func (p *panel) strokes() []stroke {
	var all []stroke
	for j, l := range p.Lines {
		for _, lib := range Libraries(l) {
			s := stroke{name: cmp.Or(l.Title, lib), lib: lib, dash: dashes[j%len(dashes)]}
			for i := range p.Points {
				if v, ok := p.Results[j][i].Value(lib); ok {
					s.values = append(s.values, v)
				}
			}
			if len(s.values) == len(p.Points) && slices.Min(s.values) >= 1 {
				all = append(all, s)
			}
		}
	}
	return all
}

func (p *panel) draw() {
	fmt.Fprintf(p.out, `<text class="title" x="14" y="18">%s, by %s</text>`+"\n", html.EscapeString(p.Title), html.EscapeString(p.Axis))
	strokes := p.strokes()
	if len(strokes) == 0 {
		return
	}
	p.scale(strokes)
	p.grid()
	if p.Linear {
		p.guide(strokes)
	}
	for _, s := range strokes {
		fmt.Fprintf(p.out, `<path class="line %s" stroke-dasharray="%s" d="`, classOf(s.lib), s.dash)
		for i, v := range s.values {
			fmt.Fprintf(p.out, "%c%.1f %.1f", "ML"[min(i, 1)], p.x(p.Points[i]), p.y(v))
		}
		fmt.Fprint(p.out, `"/>`)
		for i, v := range s.values {
			mark(p.out, s.lib, p.x(p.Points[i]), p.y(v))
		}
		fmt.Fprintln(p.out)
		p.labels = append(p.labels, label{s.name, s.lib, p.y(s.values[len(s.values)-1])})
	}
	p.names()
}

// at is where a point is on a logarithmic scale; zero is a step before the first other.
func (p *panel) at(n int) float64 {
	if n > 0 {
		return math.Log10(float64(n))
	}
	return math.Log10(float64(p.Points[1])) - 0.8
}

func (p *panel) scale(strokes []stroke) {
	p.left, p.right = p.at(p.Points[0]), p.at(p.Points[len(p.Points)-1])
	least, most := math.Inf(1), 0.0
	for _, s := range strokes {
		least, most = min(least, slices.Min(s.values)), max(most, slices.Max(s.values))
	}
	all := rungs(least/10, most*10)
	i := slices.IndexFunc(all, func(v float64) bool { return v > least }) - 1
	j := slices.IndexFunc(all, func(v float64) bool { return v >= most })
	p.low, p.high = math.Log10(all[i]), math.Log10(all[max(j, i+1)])
}

func (p *panel) x(n int) float64 {
	return plotLeft + 8 + (p.at(n)-p.left)/max(p.right-p.left, 1e-9)*(plotRight-plotLeft-16)
}

func (p *panel) y(v float64) float64 {
	return plotBottom - (math.Log10(v)-p.low)/(p.high-p.low)*(plotBottom-plotTop)
}

func (p *panel) grid() {
	first, last := math.Pow(10, p.low), math.Pow(10, p.high)
	for _, v := range rungs(first, last) {
		// Between powers of ten there is a line only if there are few of these.
		if whole := math.Log10(v); v < first*0.99 || v > last*1.01 || p.high-p.low > 2 && math.Abs(whole-math.Round(whole)) > 1e-9 {
			continue
		}
		fmt.Fprintf(p.out, `<path class="grid" d="M%d %.1fH%d"/><text class="tick end" x="%d" y="%.1f">%s</text>`+"\n",
			plotLeft, p.y(v), plotRight, plotLeft-6, p.y(v)+4, power(p.Unit, v))
	}
	fmt.Fprintf(p.out, `<path class="axis" d="M%d %dV%dH%d"/>`+"\n", plotLeft, plotTop, plotBottom, plotRight)
	beyond := 0.0
	for _, n := range p.Points {
		x := p.x(n)
		fmt.Fprintf(p.out, `<path class="axis" d="M%.1f %dv4"/>`, x, plotBottom)
		if half := 3.5 * float64(len(short(n))); x-half > beyond {
			fmt.Fprintf(p.out, `<text class="tick mid" x="%.1f" y="%d">%s</text>`, x, plotBottom+17, short(n))
			beyond = x + half
		}
		fmt.Fprintln(p.out)
	}
	fmt.Fprintf(p.out, `<text class="mid" x="%d" y="%d">%s</text>`+"\n", (plotLeft+plotRight)/2, plotBottom+34, html.EscapeString(p.Axis))
}

// rungs are where a scale may have lines and ends, from below low to above high: 1, 2, 5, 10, ...
func rungs(low, high float64) []float64 {
	var all []float64
	for d := math.Floor(math.Log10(low)); d <= math.Ceil(math.Log10(high)); d++ {
		for _, step := range []float64{1, 2, 5} {
			all = append(all, step*math.Pow(10, d))
		}
	}
	return all
}

// power names a rung with its unit, in whole ones.
func power(unit core.Unit, v float64) string {
	names := []string{"ns", "µs", "ms", "s"}
	if unit == core.Heap {
		names = []string{"B", "KB", "MB", "GB"}
	}
	i := 0
	for ; v > 999 && i < len(names)-1; i++ {
		v /= 1000
	}
	return fmt.Sprintf("%.0f %s", v, names[i])
}

// guide is what grows as fast as the quantity, from where growth is told.
func (p *panel) guide(strokes []stroke) {
	from := max(slices.Index(p.Points, p.From), 0)
	first, last := p.Points[from], p.Points[len(p.Points)-1]
	for _, s := range strokes {
		v := s.values[from]
		end := min(v*float64(last)/float64(first), math.Pow(10, p.high))
		fmt.Fprintf(p.out, `<path class="guide" d="M%.1f %.1fL%.1f %.1f"/>`+"\n", p.x(first), p.y(v), p.x(int(end/v*float64(first))), p.y(end))
	}
}

// names writes the labels where their lines end, and no two over each other.
func (p *panel) names() {
	const apart = 13
	slices.SortFunc(p.labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i := 1; i < len(p.labels); i++ {
		p.labels[i].y = max(p.labels[i].y, p.labels[i-1].y+apart)
	}
	for _, l := range p.labels {
		fmt.Fprintf(p.out, `<text class="%s-mark" x="%d" y="%.1f">%s</text>`+"\n", classOf(l.lib), plotRight+8, l.y+4, html.EscapeString(l.text))
	}
}
