package main

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gatehouse-project/gatehouse/cmd/walkthrough"
)

// caddyfile is the demo's configuration. It is meant to be read.
func (d *demo) caddyfile() string {
	file := func(name string) string { return walkthrough.CaddyQuote(filepath.Join(d.Dir, name)) }
	return strings.NewReplacer(
		"{{admin}}", strconv.Itoa(d.Admin), "{{port}}", strconv.Itoa(d.Port),
		"{{storage}}", file("storage"), "{{log}}", file("gateway.log"), "{{state}}", file("state"),
		"{{issuer}}", d.Issuer, "{{devices}}", file("devices.csv"), "{{patches}}", file("patch-scan.csv"),
		"{{patches_age}}", patchScanMaxAge, "{{app}}", d.App,
		"{{operator}}", walkthrough.CaddyQuote("{file."+filepath.Join(d.Dir, "operator-token")+"}"),
	).Replace(demoCaddyfile)
}

const demoCaddyfile = `# The configuration of gatehouse demo. Everything listens on loopback only.
{
	admin 127.0.0.1:{{admin}}
	persist_config off
	auto_https off
	grace_period 2s
	storage file_system {{storage}}
	log {
		output file {{log}}
	}
	metrics

	compliance {
		# Who is asking: a token names the user and the device.
		issuer demo {{issuer}} {
			audience intranet
			device_claim deviceid entra
		}

		# What is known about devices. Edit the file and see it work within a second.
		source inventory {{devices}} {
			name devices
		}
		# A second source, whose export is late.
		source inventory {{patches}} {
			name patch_scan
			max_file_age {{patches_age}}
		}

		# What is required.
		step_up mfa {
			for demo {
				acr_values urn:example:mfa
			}
			max_age 12h
		}
		policy standard {
			require user
			require managed
			# A device in its grace period is compliant, with a warning.
			require compliant
			require encrypted
			require risk at_most medium
			require os windows 10.0.22631 macos 14.5 ios 17.5 android 14
			require checked_in within 14d
			# Facts may be an hour old, and older while a source fails.
			freshness relaxed
		}
		policy finance {
			extends standard
			require step_up mfa
		}
		policy vault {
			extends standard
			require updated
			# Facts of the last minute, or no decision.
			freshness critical
		}

		support "IT Service Desk" https://help.corp.example
		decision_log all
		state {{state}}
		# For what loosens: release and accept.
		operator_token {{operator}}
	}
}

http://127.0.0.1:{{port}} {
	bind 127.0.0.1

	@finance path /finance /finance/*
	@vault path /vault /vault/*
	compliance standard {
		identity_headers Remote-User X-Device-Id X-Device-Compliance
	}
	compliance @finance finance
	compliance @vault vault

	reverse_proxy {{app}} {
		stream_close_delay 24h
	}
}
`
