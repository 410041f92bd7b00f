package awsemulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// controlPrefix is where whoever runs the emulator steers it. It asks for no signature: the emulator listens on loopback.
const controlPrefix = "/_emulator/"

type controlFault struct {
	Fault
	Latency string `json:"latency,omitempty"` // 250ms, as time.ParseDuration reads it
}

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + strings.TrimPrefix(r.URL.Path, controlPrefix)
	answer, err := s.control(what, r)
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
		answer = map[string]string{"error": err.Error()}
	}
	if answer == nil {
		status = http.StatusNotFound
		answer = map[string]string{"error": what + " is not part of the control surface; docs/emulator.md lists what is"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(answer) // a client that went away is its own affair
}

type done struct {
	OK bool `json:"ok"`
}

func (s *Server) control(what string, r *http.Request) (any, error) {
	read := func(into any) error {
		dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
		dec.DisallowUnknownFields()
		if err := dec.Decode(into); err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		return nil
	}
	switch what {
	case "GET health":
		return done{true}, nil
	case "GET calls":
		return s.calls.All(), nil
	case "GET calls/counts":
		return s.calls.Counts(), nil
	case "DELETE calls":
		s.calls.Reset()
		return done{true}, nil
	case "GET faults":
		return s.faults.All(), nil
	case "DELETE faults":
		s.faults.Clear()
		return done{true}, nil
	case "POST faults":
		var f controlFault
		if err := read(&f); err != nil {
			return nil, err
		}
		if f.Operation == "" {
			return nil, fmt.Errorf("a fault needs an operation")
		}
		if f.Latency != "" {
			d, err := time.ParseDuration(f.Latency)
			if err != nil {
				return nil, err
			}
			f.Fault.Latency = d
		}
		s.faults.Add(f.Fault)
		return done{true}, nil
	case "POST rates":
		var rate Rate
		if err := read(&rate); err != nil {
			return nil, err
		}
		if rate.Operation == "" || rate.PerSecond <= 0 {
			return nil, fmt.Errorf("a rate needs an operation and perSecond")
		}
		s.faults.Limit(rate)
		return done{true}, nil
	case "GET clock":
		return map[string]time.Time{"now": s.options.Clock.Now()}, nil
	case "POST clock":
		var in struct {
			Advance string `json:"advance"`
		}
		if err := read(&in); err != nil {
			return nil, err
		}
		d, err := time.ParseDuration(in.Advance)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("advance must be a positive duration such as 720h")
		}
		s.options.Clock.Advance(d)
		return map[string]time.Time{"now": s.options.Clock.Now()}, nil
	case "POST lifecycle":
		return map[string]int{"expired": s.RunLifecycle()}, nil
	case "POST images/age":
		var in struct {
			Repository string `json:"repository"`
			By         string `json:"by"`
		}
		if err := read(&in); err != nil {
			return nil, err
		}
		d, err := time.ParseDuration(in.By)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("by must be a positive duration such as 720h")
		}
		return map[string]int{"aged": s.AgeImages(in.Repository, d)}, nil
	case "POST layers/vanish":
		var in struct {
			Repository string `json:"repository"`
		}
		if err := read(&in); err != nil {
			return nil, err
		}
		return map[string]int{"vanished": s.VanishLayers(in.Repository)}, nil
	case "POST scans":
		var in struct {
			Repository string        `json:"repository"`
			Image      string        `json:"image"`
			Findings   []ScanFinding `json:"findings"`
		}
		if err := read(&in); err != nil {
			return nil, err
		}
		n, err := s.SetScanFindings(in.Repository, in.Image, in.Findings)
		if err != nil {
			return nil, err
		}
		return map[string]int{"images": n}, nil
	case "GET passwords":
		return s.IssuedPasswords(), nil
	}
	return nil, nil
}
