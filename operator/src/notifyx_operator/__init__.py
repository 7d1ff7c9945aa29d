"""Brings topics in line with NotifyxTopic resources: pure plan and builders, thin handlers."""
