// Package apierror is the error that every emulated operation answers with.
package apierror

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is an AWS error. Services with the JSON protocol and those with the Query protocol call some
// errors differently; QueryCode and QueryStatus are set where they do.
type Error struct {
	Code        string
	Message     string
	Status      int // HTTP status; 0: 400
	QueryCode   string
	QueryStatus int
	// RegistryCode is the code in the registry's answer, such as TAG_INVALID; "" where the registry has none of its own.
	RegistryCode   string
	RegistryStatus int
	// Fields are the error's further members in the JSON protocol.
	Fields map[string]any
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// HTTPStatus is the status of the JSON protocol.
func (e *Error) HTTPStatus() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// ForQuery is the code and status of the Query protocol.
func (e *Error) ForQuery() (code string, status int) {
	code, status = e.Code, e.HTTPStatus()
	if e.QueryCode != "" {
		code = e.QueryCode
	}
	if e.QueryStatus != 0 {
		status = e.QueryStatus
	}
	return code, status
}

// New is an error of status 400.
func New(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithStatus is New with another HTTP status.
func WithStatus(status int, code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}

// As finds the Error in err; any other error becomes an internal failure.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: "InternalFailure", Message: err.Error(), Status: http.StatusInternalServerError}
}

// AccessDenied is the refusal of policy evaluation.
func AccessDenied(message string) *Error {
	return &Error{Code: "AccessDeniedException", Message: message, QueryCode: "AccessDenied", QueryStatus: http.StatusForbidden,
		RegistryCode: "DENIED", RegistryStatus: http.StatusForbidden}
}

// Throttled is what AWS answers when a token bucket is empty.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html
func Throttled() *Error {
	return &Error{Code: "ThrottlingException", Message: "Rate exceeded", QueryCode: "Throttling", RegistryCode: "TOOMANYREQUESTS",
		RegistryStatus: http.StatusTooManyRequests}
}

// NotEmulated says that something of AWS is not here. It is never retried by an SDK.
func NotEmulated(what string) *Error {
	return New("NotEmulatedException", "%s is not emulated; docs/emulator.md lists what is", what)
}
