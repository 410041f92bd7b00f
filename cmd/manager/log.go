package main

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns the process's logger. It logs errors without stack traces: their text tells where they come from.
func newLogger(level, format string) (*zap.Logger, error) {
	config := zap.NewProductionConfig()
	switch format {
	case "json":
		config.EncoderConfig.TimeKey = "time"
		config.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	case "console":
		config = zap.NewDevelopmentConfig()
	default:
		return nil, fmt.Errorf("log format %q is not known; use json or console", format)
	}
	switch level {
	case "info":
		config.Level = zap.NewAtomicLevelAt(zap.InfoLevel)
	case "debug":
		config.Level = zap.NewAtomicLevelAt(zap.DebugLevel)
	default:
		return nil, fmt.Errorf("log level %q is not known; use info or debug", level)
	}
	config.Sampling = nil
	config.DisableStacktrace = true
	logger, err := config.Build()
	if err != nil {
		return nil, fmt.Errorf("make logger: %w", err)
	}
	return logger, nil
}
