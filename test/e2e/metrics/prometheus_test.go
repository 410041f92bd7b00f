package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// prometheus asks a Prometheus' HTTP API.
type prometheus struct{ url string }

// sample is one series of an answer with its last value.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

func (s sample) number() float64 {
	text, _ := s.Value[1].(string)
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("Prometheus answered with the value %v", s.Value))
	}
	return number
}

// ask asks one question of the API and reads the answer's data. Warnings are errors.
func (p *prometheus) ask(ctx context.Context, path string, parameters url.Values, data any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+parameters.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status   string          `json:"status"`
		Data     json.RawMessage `json:"data"`
		Error    string          `json:"error"`
		Warnings []string        `json:"warnings"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if answer.Status != "success" || len(answer.Warnings) > 0 {
		return fmt.Errorf("%s: %s %v", answer.Status, answer.Error, answer.Warnings)
	}
	return json.Unmarshal(answer.Data, data)
}

// query evaluates an expression now.
func (p *prometheus) query(ctx context.Context, expression string) ([]sample, error) {
	var data struct {
		Result json.RawMessage `json:"result"`
	}
	if err := p.ask(ctx, "/api/v1/query", url.Values{"query": {expression}}, &data); err != nil {
		return nil, err
	}
	var samples []sample
	if err := json.Unmarshal(data.Result, &samples); err != nil {
		return nil, fmt.Errorf("no vector: %w", err)
	}
	return samples, nil
}

// eventually tries until it succeeds, for half a minute.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// wants waits until an expression has one value.
func wants(t *testing.T, expression string, want float64) {
	t.Helper()
	eventually(t, func() error {
		samples, err := server.query(t.Context(), expression)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", expression, err)
		case len(samples) != 1:
			return fmt.Errorf("%s has %d series, not one", expression, len(samples))
		case samples[0].number() != want:
			return fmt.Errorf("%s is %g, not %g", expression, samples[0].number(), want)
		}
		return nil
	})
}
