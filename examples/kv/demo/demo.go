package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quorate-raft/raft/examples/kv/client"
)

// Config describes a demo. Zero fields mean the default that is named with each.
type Config struct {
	// Program is the path of raftkv. Default: the program that runs.
	Program string
	// Keys is how many are loaded, 100 at least. Default 10,000.
	Keys int
	// Dir is where all is kept, also afterwards; it must be empty or not exist.
	// Default: a temporary directory, which is removed if all went well.
	Dir string
	// Page is the address of the page, "host:port". Default 127.0.0.1 and a free port.
	Page string
	// OpenFor is for how long servers and page stay up at the end. Default: not at all.
	OpenFor time.Duration
	// Tick is that of the servers; ten are an election timeout. Default 50 ms.
	Tick time.Duration
	// Out takes lines for people. Default: none.
	Out io.Writer
}

// ErrInvalidConfig matches every error of a Config that Run refuses.
var ErrInvalidConfig = errors.New("demo: invalid config")

// ErrInterrupted: the context ended before the demo did.
var ErrInterrupted = errors.New("interrupted")

func (c Config) withDefaults() Config {
	c.Keys = cmp.Or(c.Keys, 10_000)
	c.Page = cmp.Or(c.Page, "127.0.0.1:0")
	c.Tick = cmp.Or(c.Tick, 50*time.Millisecond)
	if c.Out == nil {
		c.Out = io.Discard
	}
	return c
}

// Validate reports every fault of c, joined. It matches ErrInvalidConfig and changes
// nothing.
func (c *Config) Validate() error {
	d := c.withDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(d.Keys < 100, "Keys (%d) must be at least 100", d.Keys)
	fault(d.OpenFor < 0, "OpenFor (%v) must not be negative", d.OpenFor)
	fault(d.Tick < time.Millisecond, "Tick (%v) must be at least 1ms", d.Tick)
	if entries, err := os.ReadDir(c.Dir); c.Dir != "" && !errors.Is(err, os.ErrNotExist) {
		fault(err != nil, "Dir: %w", err)
		fault(len(entries) > 0, "Dir (%s) must be empty", c.Dir)
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return nil
}

// demo is one that runs.
type demo struct {
	config Config
	clock
	dir     string
	printer *printer
	page    *pageListener
	cluster *cluster
	meter   *meter
	values  values
	ledger  *ledger
	history *history
	monitor *monitor
	clients []*client.Client
	writers []*writer
	stop    func() // ends the traffic of clients, if there is any

	victim uint64 // the leader that was killed

	// mu guards what the page shows too.
	mu      sync.Mutex
	summary Summary
	told    []toldStep
	loading progress
	over    bool
}

// progress is how much of something is done.
type progress struct {
	Done int `json:"done"`
	Of   int `json:"of"`
}

// toldStep is a step of the story that has begun.
type toldStep struct {
	Title  string  `json:"title"`
	State  string  `json:"state"` // running, done or failed
	Began  float64 `json:"began"` // seconds since the demo's beginning
	Took   float64 `json:"took"`  // seconds
	Result string  `json:"result"`
}

// Run runs a demo and returns what came of it, as far as it came. The error is what went
// wrong, or what was found to be wrong: it matches ErrInvalidConfig, ErrLost,
// ErrNotLinearizable, ErrNotChecked or ErrInterrupted, or is that of a step. No server
// runs when Run has returned.
func Run(ctx context.Context, c Config) (*Summary, error) {
	d, err := newDemo(c)
	if err != nil {
		return nil, err
	}
	return d.run(ctx, d.story())
}

func newDemo(c Config) (*demo, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if c.Program == "" {
		var err error
		if c.Program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	d := &demo{config: c, clock: clock{time.Now()}, stop: func() {}}
	d.printer = newPrinter(c.Out, d.clock)
	d.meter = &meter{clock: d.clock}
	d.ledger = newLedger(c.Keys)
	d.history = &history{meter: d.meter, values: &d.values}
	d.cluster = &cluster{program: c.Program, tick: c.Tick}
	d.monitor = &monitor{cluster: d.cluster, meter: d.meter}
	d.summary.ElectionTimeout = Duration(electionTicks * c.Tick)
	var err error
	if d.page, err = d.servePage(c.Page); err != nil {
		return nil, err
	}
	if err := d.makeDir(); err != nil {
		d.page.close()
		return nil, err
	}
	d.cluster.dir = d.dir
	return d, nil
}

func (d *demo) makeDir() (err error) {
	if d.config.Dir == "" {
		d.dir, err = os.MkdirTemp("", "raftkv-demo-")
		return err
	}
	// The servers are told of files in it.
	if d.dir, err = filepath.Abs(d.config.Dir); err != nil {
		return err
	}
	return os.MkdirAll(d.dir, 0o700)
}

// run tells a story, and sees to it that nothing is left of it but what is to be.
func (d *demo) run(ctx context.Context, steps []step) (*Summary, error) {
	err := d.withPage(ctx, steps)
	kept := err != nil && !errors.Is(err, ErrInterrupted)
	switch {
	case kept && d.config.Dir == "":
		err = fmt.Errorf("%w\n  what the servers have and logged is kept in %s", err, d.dir)
	case kept:
		err = fmt.Errorf("%w\n  what the servers have and logged is in %s", err, d.dir)
	case d.config.Dir == "":
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	return &d.summary, err
}

func (d *demo) withPage(ctx context.Context, steps []step) error {
	defer d.page.close()
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	go d.monitor.run(watching)
	defer d.end()

	d.printer.line("data in %s, page at %s", d.dir, d.page.url)
	err := d.tell(ctx, steps)
	d.conclude(err)
	if errors.Is(err, ErrInterrupted) {
		return err
	}
	d.printer.line("")
	d.summary.Print(d.config.Out)
	if err == nil {
		err = d.summary.verdict()
	}
	if d.config.OpenFor > 0 {
		if err != nil { // which else would be told only when all is over
			d.printer.line("\n%v", err)
		}
		d.printer.line("\nservers and page stay up for %v: %s", d.config.OpenFor, d.page.url)
		pause(ctx, d.config.OpenFor)
	}
	return err
}

// tell does the steps, up to one that fails.
func (d *demo) tell(ctx context.Context, steps []step) error {
	for _, s := range steps {
		began := d.now()
		d.printer.begin(s.title)
		d.note(toldStep{Title: s.title, State: "running", Began: began.Seconds()}, true)
		result, err := s.do(ctx)
		if err == nil {
			err = d.cluster.unexpected()
		}
		if err == nil {
			err = ctx.Err()
		}
		took := d.now() - began
		told := toldStep{Title: s.title, State: "done", Began: began.Seconds(), Took: took.Seconds(), Result: result}
		if err != nil {
			told.State, told.Result = "failed", err.Error()
			d.note(told, false)
			d.printer.end(s.title, "FAILED", took)
			if ctx.Err() != nil {
				return ErrInterrupted
			}
			return fmt.Errorf("%s: %w", s.title, err)
		}
		d.note(told, false)
		d.printer.end(s.title, result, took)
	}
	return nil
}

// note shows a step on the page, a new one or in the place of the last.
func (d *demo) note(s toldStep, isNew bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !isNew {
		d.told = d.told[:len(d.told)-1]
	}
	d.told = append(d.told, s)
}

// conclude ends the traffic and completes the summary.
func (d *demo) conclude(fault error) {
	d.stop()
	d.monitor.look(context.Background())
	d.monitor.finish()
	c := d.meter.counts()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary.Writes, d.summary.Reads, d.summary.Ambiguous, d.summary.Failed = c.Writes, c.Reads, c.Ambiguous, c.Failed
	d.summary.Total = Duration(d.now())
	if fault != nil {
		d.summary.Fault = fault.Error()
	}
	d.over = true
}

// end ends clients and servers.
func (d *demo) end() {
	d.stop()
	for _, c := range d.clients {
		c.Close()
	}
	d.cluster.stop()
}
