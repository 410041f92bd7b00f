// Package wire speaks the two protocols of the emulated services: JSON 1.1 and Query with XML.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
)

// Operation is one operation of a service: decode fills its input, and the answer is its output.
type Operation func(c *caller.Caller, decode func(into any) error) (any, error)

// Op makes an Operation of a typed function.
func Op[In, Out any](f func(*caller.Caller, *In) (*Out, error)) Operation {
	return func(c *caller.Caller, decode func(any) error) (any, error) {
		in := new(In)
		if err := decode(in); err != nil {
			return nil, err
		}
		out, err := f(c, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// Empty is the output of operations that answer nothing.
type Empty struct{}

// DecodeJSON reads a JSON 1.1 body. A member that the emulator does not know is an error, so that no setting is silently ignored.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
func DecodeJSON(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		return nil
	}
	return decodeError(err)
}

func decodeError(err error) error {
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return apierror.NotEmulated("parameter " + strings.Trim(field, `"`))
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return apierror.New("SerializationException", "%s can not be converted to a %s", wrong.Value, wrong.Type)
	}
	return apierror.New("SerializationException", "%v", err)
}

// WriteJSON answers a JSON 1.1 request.
func WriteJSON(w http.ResponseWriter, requestID string, out any) error {
	body, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", requestID)
	_, _ = w.Write(body) // a client that went away is its own affair
	return nil
}

// WriteJSONError answers a JSON 1.1 request with an error.
func WriteJSONError(w http.ResponseWriter, requestID string, e *apierror.Error) {
	members := map[string]any{"__type": e.Code, "message": e.Message}
	maps.Copy(members, e.Fields)
	body, _ := json.Marshal(members)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.Header().Set("X-Amzn-Errortype", e.Code)
	w.WriteHeader(e.HTTPStatus())
	_, _ = w.Write(body)
}
