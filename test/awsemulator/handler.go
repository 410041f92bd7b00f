package awsemulator

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/calls"
	"imagecache.dev/test/awsemulator/faults"
	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/ecr"
	"imagecache.dev/test/awsemulator/internal/registry"
	"imagecache.dev/test/awsemulator/internal/sigv4"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// maxBody bounds a request to the API; the largest is a layer part of 20 MiB in base64.
const maxBody = 64 << 20

// ServeHTTP tells control surface, layer downloads, registry and API apart.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.options.OneClock {
		w.Header().Set("Date", s.answerTime().UTC().Format(http.TimeFormat))
	}
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, controlPrefix):
		s.serveControl(w, r)
	case strings.HasPrefix(path, ecr.DownloadPath):
		s.registry.ServeDownload(w, r)
	case path == "/v2" || strings.HasPrefix(path, registry.Prefix):
		s.registry.Tick()
		s.serveRegistry(w, r)
	default:
		s.registry.Tick()
		s.serveAPI(w, r)
	}
}

func requestID() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	h := hex.EncodeToString(raw)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// record appends an answered request to the log; err is nil where it succeeded.
func (s *Server) record(c calls.Call, who *caller.Caller, began time.Time, status int, err error) {
	c.Time, c.Took, c.Status = s.options.Clock.Now(), time.Since(began), status
	if who != nil {
		c.Principal, c.Resource = who.ARN, who.Resource
	}
	if err != nil {
		c.ErrorCode = apierror.As(err).Code
	}
	s.calls.Add(c)
	s.logf("%s %s %s %d %s %s", c.Time.Format(time.RFC3339), c.Operation, c.Protocol, c.Status, c.ErrorCode, c.Principal)
}

// suffer lets a fault act before the operation. It says whether the call is over.
func (s *Server) suffer(w http.ResponseWriter, r *http.Request, o faults.Outcome) (over bool) {
	if o.Latency > 0 {
		t := time.NewTimer(o.Latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return true
		}
	}
	if o.Drop && !o.AfterEffect {
		drop(w)
		return true
	}
	return false
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			_ = conn.Close()
			return
		}
	}
	panic(http.ErrAbortHandler) // HTTP/2 can't be hijacked; this resets the stream
}

// swallow is a ResponseWriter whose answer is lost.
type swallow struct{ header http.Header }

func (d swallow) Header() http.Header         { return d.header }
func (d swallow) Write(p []byte) (int, error) { return len(p), nil }
func (d swallow) WriteHeader(int)             {}

func (s *Server) serveRegistry(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	call := calls.Call{Operation: "registry:Unknown", Protocol: calls.Registry, Path: r.Method + " " + r.URL.Path}
	req, err := registry.Parse(r)
	if err == nil {
		call.Operation = req.Operation
	}
	outcome := s.faults.Decide(call.Operation, s.options.Clock.Now())
	if s.suffer(w, r, outcome) {
		s.record(call, nil, began, 0, outcome.Err)
		return
	}
	var who *caller.Caller
	if err == nil && outcome.Err != nil && !outcome.AfterEffect {
		err = outcome.Err
	}
	if err == nil {
		who, err = s.login(r)
	}
	answer := &statusWriter{ResponseWriter: w}
	if err == nil {
		if outcome.AfterEffect {
			err = s.pull.Serve(swallow{http.Header{}}, r, who, req)
			if outcome.Drop {
				s.record(call, who, began, 0, outcome.Err)
				drop(w)
				return
			}
			if err == nil && outcome.Err != nil {
				err = outcome.Err
			}
		} else {
			err = s.pull.Serve(answer, r, who, req)
		}
	}
	if err == nil {
		s.record(call, who, began, answer.status, nil)
		return
	}
	e := apierror.As(err)
	if e.RegistryStatus == http.StatusUnauthorized {
		w.Header().Set("Www-Authenticate", s.challenge())
	}
	registry.WriteError(answer, e)
	s.record(call, who, began, answer.status, e)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// apiRequest is a request to the API, as far as it can be told before anybody is authenticated.
type apiRequest struct {
	service   service
	operation string
	body      []byte
	form      url.Values
	auth      *sigv4.Authorization
	authErr   error
}

// unsigned are the operations of STS that need no signature. None is emulated.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
var unsigned = []string{"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}

func (q *apiRequest) query() bool { return q.service.target == "" }

// parseAPI tells service and operation: from the target header, or else from the form's Action and the signature's scope.
func (s *Server) parseAPI(r *http.Request) (*apiRequest, error) {
	q := &apiRequest{}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return q, fmt.Errorf("read request: %w", err)
	}
	q.body = body
	if len(body) > maxBody {
		return q, apierror.WithStatus(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the request has more than %d bytes", maxBody)
	}
	q.auth, q.authErr = sigv4.Parse(r)
	if r.Header.Get("Smithy-Protocol") != "" {
		return q, apierror.NotEmulated("protocol " + r.Header.Get("Smithy-Protocol"))
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, operation, _ := strings.Cut(target, ".")
		q.operation = operation
		for _, svc := range s.services {
			if svc.target == prefix {
				q.service = svc
				return q, nil
			}
		}
		return q, apierror.NotEmulated("service " + prefix)
	}
	q.form, err = url.ParseQuery(string(body))
	if err != nil {
		return q, apierror.New("MalformedQueryString", "the body is not a form")
	}
	if r.Method == http.MethodGet {
		q.form = r.URL.Query()
	}
	q.operation = q.form.Get("Action")
	name := ""
	if q.auth != nil {
		name = q.auth.Service
	}
	svc, ok := s.services[name]
	switch {
	case slices.Contains(unsigned, q.operation):
		q.service = s.services["sts"]
		return q, apierror.NotEmulated("sts:" + q.operation)
	case q.operation == "" && q.authErr != nil:
		return q, signatureError(q.authErr)
	case name == "" && q.authErr != nil:
		q.service = service{name: "unknown", namespace: "https://sts.amazonaws.com/doc/2011-06-15/"}
		return q, signatureError(q.authErr)
	case !ok:
		return q, apierror.NotEmulated("service " + name)
	case q.operation == "":
		q.service = svc
		return q, apierror.New("MissingAction", "the request has neither X-Amz-Target nor Action")
	case svc.target != "":
		return q, apierror.NotEmulated("the Query protocol for service " + name)
	}
	q.service = svc
	return q, nil
}

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	id := requestID()
	q, err := s.parseAPI(r)
	call := calls.Call{Operation: "unknown", Protocol: calls.JSON}
	if q.query() && (q.form != nil || q.service.name != "") {
		call.Protocol = calls.Query
	}
	if q.service.name != "" && q.operation != "" {
		call.Operation = q.service.name + ":" + q.operation
	}
	outcome := s.faults.Decide(call.Operation, s.options.Clock.Now())
	if s.suffer(w, r, outcome) {
		s.record(call, nil, began, 0, outcome.Err)
		return
	}
	if err == nil && outcome.Err != nil && !outcome.AfterEffect {
		err = outcome.Err
	}
	var who *caller.Caller
	var out any
	if err == nil {
		who, out, err = s.run(r, q, id)
	}
	if outcome.AfterEffect {
		if outcome.Drop {
			s.record(call, who, began, 0, outcome.Err)
			drop(w)
			return
		}
		if err == nil && outcome.Err != nil {
			err = outcome.Err
		}
	}
	if err == nil {
		if q.query() {
			err = wire.WriteXML(w, id, q.service.namespace, q.operation, out)
		} else {
			err = wire.WriteJSON(w, id, out)
		}
	}
	if err == nil {
		s.record(call, who, began, http.StatusOK, nil)
		return
	}
	e := apierror.As(err)
	status := e.HTTPStatus()
	if call.Protocol == calls.Query {
		_, status = e.ForQuery()
		wire.WriteXMLError(w, id, q.service.namespace, e)
	} else {
		wire.WriteJSONError(w, id, e)
	}
	s.record(call, who, began, status, e)
}

func (s *Server) run(r *http.Request, q *apiRequest, id string) (*caller.Caller, any, error) {
	if q.authErr != nil {
		return nil, nil, signatureError(q.authErr)
	}
	who, err := s.authenticate(r, q.body, q.service, q.auth)
	if err != nil {
		return nil, nil, err
	}
	who.RequestID = id
	operation, ok := q.service.operations[q.operation]
	if !ok {
		return who, nil, apierror.NotEmulated(q.service.name + ":" + q.operation)
	}
	decode := func(into any) error {
		if q.query() {
			return wire.DecodeQuery(q.form, into)
		}
		return wire.DecodeJSON(q.body, into)
	}
	out, err := operation(who, decode)
	if err == nil && out == nil {
		err = errors.New("no answer")
	}
	return who, out, err
}
