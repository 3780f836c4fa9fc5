"""Tests of the modes about streams, cron, completion, of rqmailer, RQ_OPTS and bin/install."""
