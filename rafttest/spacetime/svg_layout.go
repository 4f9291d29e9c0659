package spacetime

// Distances, in pixels. Everything is an integer, so that all machines draw the same.
const (
	svgWidth    = 900 // at most
	headHeight  = 30
	leftMargin  = 46
	rowHeight   = 17
	rowIndent   = 10  // from a lane to its text
	rowsWidth   = 128 // of the last lane
	noteHeight  = 16
	noteWidth   = noteChars*6 + 24
	noteRadius  = 8
	flightTime  = 46 // from a slot to the next if a message is under way
	quietTime   = 12 // if none is
	widestGap   = 150
	labelHeight = 11
)

// layOut gives everything its place.
func (d *drawing) layOut() {
	d.gap = widestGap
	if n := len(d.lanes) - 1; n > 0 {
		d.gap = min(widestGap, (svgWidth-leftMargin-rowsWidth-noteWidth-10)/n)
	}
	for i := range d.lanes {
		d.lanes[i].x = leftMargin + i*d.gap
	}
	d.width = d.notesX() + noteWidth + 10
	d.layOutSlots()
	for i := range d.flights {
		d.layOutFlight(&d.flights[i])
	}
	for i := range d.flights {
		d.placeLabel(i)
	}
}

func (d *drawing) notesX() int { return leftMargin + max(0, len(d.lanes)-1)*d.gap + rowsWidth }

func (d *drawing) layOutSlots() {
	y, notesEnd, n := headHeight, 0, 0
	for i := range d.slots {
		s := &d.slots[i]
		if i > 0 {
			y += d.timeAfter(i - 1)
		}
		if s.noted {
			y = max(y, notesEnd+8)
		}
		s.top = y
		below := s.rows * rowHeight
		if s.noted {
			below = max(below, 2*noteRadius+6)
		}
		s.bottom = s.top + below + 2
		for ; n < len(d.notes) && d.notes[n].slot == i; n++ {
			d.notes[n].y = max(s.top, notesEnd+4)
			notesEnd = d.notes[n].y + len(d.notes[n].lines)*noteHeight
		}
		y = s.bottom
	}
	d.height = max(y+14, notesEnd+10)
}

// timeAfter returns how far it is from the bottom of a slot to the next.
func (d *drawing) timeAfter(s int) int {
	for i := range d.flights {
		if d.flights[i].leaves <= s && d.flights[i].arrives > s {
			return flightTime
		}
	}
	return quietTime
}

// layOutFlight places the line. A lost message ends in the last gap of its way.
func (d *drawing) layOutFlight(f *flight) {
	sign := 1
	if f.to < f.from {
		sign = -1
	}
	f.x1, f.y1 = d.lanes[f.from].x+sign*5, d.slots[f.leaves].bottom
	f.x2, f.y2 = d.lanes[f.to].x-sign*6, d.slots[f.arrives].top
	if f.arrives == f.leaves {
		f.y1 = f.y2
	}
	if f.lost {
		x := d.lanes[f.to].x - sign*d.gap/4
		f.x2, f.y2 = x, f.at(x)
	}
}

// at returns the height of the line at x.
func (f *flight) at(x int) int {
	if f.x1 == f.x2 {
		return f.y1
	}
	return f.y1 + (f.y2-f.y1)*(x-f.x1)/(f.x2-f.x1)
}

func (f *flight) passes(x int) bool { return min(f.x1, f.x2) <= x && x <= max(f.x1, f.x2) }

// placeLabel puts the message's words along its line, above or below it, where they cover least.
// Requests go from one to many, so their lines are apart at their ends; with answers it is at their beginnings.
func (d *drawing) placeLabel(i int) {
	f := &d.flights[i]
	gaps := max(f.from, f.to) - min(f.from, f.to)
	best := -1
	for k := range gaps {
		g := gaps - 1 - k // of the way, from the sender
		if f.answer {
			g = k
		}
		x := (d.lanes[f.from].x*(2*gaps-2*g-1) + d.lanes[f.to].x*(2*g+1)) / (2 * gaps)
		if f.lost && g == gaps-1 {
			x = (x*3 + d.lanes[f.from].x + (d.lanes[f.to].x-d.lanes[f.from].x)*g/gaps) / 4
		}
		for _, below := range []bool{!f.answer, f.answer} {
			score := d.covered(i, x, below)*4 + k
			if best < 0 || score < best {
				best, f.labelX, f.labelBelow = score, x, below
			}
		}
	}
	f.labelY = f.at(f.labelX) + labelOffset(f.labelBelow)
}

// labelOffset returns where the middle of a label is, from its line.
func labelOffset(below bool) int {
	if below {
		return labelHeight - 2
	}
	return 3 - labelHeight
}

// covered counts what the words of flight i would be too near to.
func (d *drawing) covered(i, x int, below bool) int {
	f := &d.flights[i]
	half, n := textWidth(f.text)/2, 0
	for px := x - half; px <= x+half; px += 6 {
		py := f.at(px) + labelOffset(below)
		for j := range d.flights {
			other := &d.flights[j]
			if j != i && other.passes(px) && abs(other.at(px)-py) < 7 {
				n++
			}
			if j < i && other.words(px, py) {
				n += 3
			}
		}
		for j := range d.lanes {
			for _, r := range d.lanes[j].rows {
				left, top := d.lanes[j].x+rowIndent, d.slots[r.slot].top+r.line*rowHeight
				if left-4 < px && px < left+textWidth(r.text)+10 && top-4 < py && py < top+rowHeight+4 {
					n += 3
				}
			}
		}
	}
	return n
}

// words reports whether the label is near a point.
func (f *flight) words(x, y int) bool {
	half := textWidth(f.text) / 2
	if x < f.labelX-half-6 || x > f.labelX+half+6 {
		return false
	}
	return abs(f.at(x)+labelOffset(f.labelBelow)-y) < labelHeight
}

func abs(v int) int { return max(v, -v) }
