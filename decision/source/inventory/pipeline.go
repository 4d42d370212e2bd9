package inventory

import (
	"errors"
	"runtime"
	"sync"

	"github.com/gatehouse-project/gatehouse/decision"
)

// A file is read by three parties at a time, because a million devices take
// seconds of one core: a splitter finds where records begin and end, workers
// read what is in them, and the caller's goroutine emits the results in the
// order of the file. All of them end before the reading returns.

const (
	maxWorkers   = 2
	batchBytes   = 128 << 10 // a batch is full with this much text
	batchRecords = 256       // or with as many records
	batchesAhead = 6         // with what they hold, this bounds memory
)

var (
	errStopped  = errors.New("reading was stopped")
	errInternal = errors.New("inventory file could not be read: internal error")
)

// record is one row of a CSV or one element of a JSON list.
type record struct {
	at     int64    // line of a row, byte of an element
	end    int      // of its text in the batch; it starts where the last ended
	number int      // of an element in its list, from 1
	users  bool     // the list is "users"
	fields []string // of a row that the splitter took apart already
	err    error    // of a row that the splitter could not take apart
}

// result is what a worker read from the record with the same index.
type result struct {
	verdict  decision.Verdict
	user     decision.UserRecord
	supplies decision.FactSet
	odd      oddities // of a record that is not bad
	err      error    // why the record is bad
	syntax   error    // of the file: a broken quotation in CSV, anything in JSON
}

// parser reads one record. keys has room for the ids of a device.
type parser func(text string, r *record, keys []decision.Key, to *result)

// batch is a run of records on its way from the splitter through one worker to
// the caller, and then back to the splitter.
type batch struct {
	text    []byte
	apart   int // bytes in the fields of records
	records []record
	results []result
	failed  error // nothing of the batch can be used
	ready   chan struct{}
}

// take hands the text of every record to parse. It is one string, so that a
// batch costs one allocation; the ids of its devices share one more.
func (b *batch) take(parse parser) {
	defer func() {
		if recover() != nil {
			b.failed = errInternal
		}
		b.ready <- struct{}{}
	}()
	const ids = 3
	text := string(b.text)
	keys := make([]decision.Key, ids*len(b.records))
	b.results = append(b.results[:0], make([]result, len(b.records))...)
	start := 0
	for i := range b.records {
		r := &b.records[i]
		parse(text[start:r.end], r, keys[i*ids:i*ids:(i+1)*ids], &b.results[i])
		start = r.end
	}
}

func (b *batch) reset() {
	if cap(b.text) > 4*batchBytes {
		b.text = nil // a very long record is no reason to keep its room
	}
	clear(b.records) // they point to strings
	b.text, b.apart, b.records = b.text[:0], 0, b.records[:0]
}

// splitter collects records into batches. It belongs to the goroutine that
// splits.
type splitter struct {
	free, work, order chan *batch
	stop              chan struct{}
	batch             *batch // being filled, or nil
}

// add appends a record and a copy of its text.
func (s *splitter) add(text []byte, r record) error {
	if s.batch == nil {
		select {
		case s.batch = <-s.free:
		case <-s.stop:
			return errStopped
		}
	}
	b := s.batch
	b.text = append(b.text, text...)
	r.end = len(b.text)
	b.records = append(b.records, r)
	for _, f := range r.fields {
		b.apart += len(f) + 16 // and its header
	}
	if len(b.text)+b.apart >= batchBytes || len(b.records) == batchRecords {
		s.flush()
	}
	return nil
}

// flush passes the batch on. There is room for every batch in both channels.
func (s *splitter) flush() {
	if s.batch != nil {
		s.order <- s.batch
		s.work <- s.batch
		s.batch = nil
	}
}

// pipe runs split in one goroutine and a few workers in others, and calls emit
// for every batch in the order of the file. It returns the first error of emit or
// else of split.
func pipe(split func(*splitter) error, worker func() parser, emit func(*batch) error) error {
	s := &splitter{
		free: make(chan *batch, batchesAhead), work: make(chan *batch, batchesAhead), order: make(chan *batch, batchesAhead),
		stop: make(chan struct{}),
	}
	for range batchesAhead {
		s.free <- &batch{ready: make(chan struct{}, 1)}
	}
	var wg sync.WaitGroup
	defer wg.Wait() // also if emit panics
	defer close(s.stop)
	failed := errInternal
	wg.Go(func() {
		defer close(s.order) // publishes failed
		defer close(s.work)
		defer func() {
			if recover() != nil {
				failed = errInternal
			}
		}()
		failed = split(s)
		s.flush()
	})
	for range min(maxWorkers, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			parse := worker()
			for b := range s.work {
				b.take(parse)
			}
		})
	}
	for b := range s.order {
		<-b.ready
		if b.failed != nil {
			return b.failed
		}
		if err := emit(b); err != nil {
			return err
		}
		b.reset()
		s.free <- b
	}
	return failed
}
