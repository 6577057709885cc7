//! Every scenario over real sockets, with clients on both runtimes in turn, so that messages and files cross between them.

toom_tests::play_all_scenarios!(toom_tests::real::RealWorld::new(toom_tests::real::Runtimes::MIXED));
