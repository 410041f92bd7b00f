package main

import (
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"imagecache.dev/internal/message"
)

// newLogger returns the process's logger. It logs errors without stack traces: their text tells where they come from.
func newLogger(out io.Writer, level, format string) (*zap.Logger, error) {
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
	logger, err := config.Build(zap.WrapCore(func(zapcore.Core) zapcore.Core {
		return zapcore.NewCore(encoderOf(config), zapcore.Lock(redacting{zapcore.AddSync(out)}), config.Level)
	}))
	if err != nil {
		return nil, fmt.Errorf("make logger: %w", err)
	}
	return logger, nil
}

func encoderOf(config zap.Config) zapcore.Encoder {
	if config.Encoding == "console" {
		return zapcore.NewConsoleEncoder(config.EncoderConfig)
	}
	return zapcore.NewJSONEncoder(config.EncoderConfig)
}

// redacting removes credentials from what is written. zap writes each entry at once.
type redacting struct{ zapcore.WriteSyncer }

func (r redacting) Write(entry []byte) (int, error) {
	if _, err := r.WriteSyncer.Write([]byte(message.Redact(string(entry)))); err != nil {
		return 0, fmt.Errorf("write log: %w", err)
	}
	return len(entry), nil
}
