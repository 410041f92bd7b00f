package builder

import "io"

// countedStep is how many bytes are read between two reports.
const countedStep = 1 << 20

// countedReader reports how many bytes were read.
type countedReader struct {
	io.Reader
	progress   func(bytes int64) // may be nil
	read, told int64
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read += int64(n)
	if r.progress != nil && (r.read-r.told >= countedStep || err != nil && r.read > r.told) {
		r.told = r.read
		r.progress(r.read)
	}
	return n, err
}
